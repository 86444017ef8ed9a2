"""Text and Markdown files in passages: nothing lost, nothing moved, cut where a reader would cut."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.notes import collected_notes
from vlm2vec_rag.media.sniff import sniff
from vlm2vec_rag.media.texts import TextFile, markdown_sections, passages

GUIDE = """Before any heading.

# Guide

Welcome.

## Install ##

Run this:

```sh
# not a heading
pip install it
```

Usage
-----

1. Open it.
2. Read.

---

# Licence
"""


def read(path: Path, limits: MediaLimits | None = None, **values: object) -> list:
    file = TextFile(str(path), sniff(path), MediaSettings(**values), limits or MediaLimits())
    return [file.item(index) for index in range(file.info().items)]


def test_markdown_is_cut_at_its_headings(tmp_path):
    path = tmp_path / "guide.md"
    path.write_text(GUIDE)
    items = read(path)
    assert [item.title for item in items] == [
        "",
        "Guide",
        "Guide › Install",
        "Guide › Usage",
        "Licence",
    ]
    assert items[2].text.startswith("## Install") and "# not a heading" in items[2].text
    assert items[3].text.startswith("Usage\n-----") and items[3].text.endswith("---")


def test_closing_marks_are_no_part_of_a_heading():
    titles = [section.title for section in markdown_sections("# One ##\n## C#\n# #\n#five\n####### seven\n")]
    assert titles == ["", "One", "One › C#", ""]


def test_long_lines_are_no_trouble():
    text = "# a" + " " * 500_000 + "b\n" + "word " * 500_000
    started = time.process_time()
    found = list(passages(text, 0, len(text), 2000))
    assert markdown_sections(text)[1].title.endswith("b") and len(found) > 1000
    assert time.process_time() - started < 30  # of this process alone; a quadratic way takes minutes


def test_a_plain_text_has_no_headings(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("# shopping\n\nmilk\n\n# later\n\nbread\n")
    [item] = read(path)
    assert item.title == "" and item.text == path.read_text().strip()


@pytest.mark.parametrize("name", ["guide.md", "guide.txt"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_passage_stands_where_it_says(tmp_path, name, line_end):
    path = tmp_path / name
    path.write_bytes((GUIDE * 20).replace("\n", line_end).encode())
    text = path.read_text()  # with line ends as Python reads them
    for item in read(path, text_chars=150):
        assert text[item.start_char : item.start_char + len(item.text)] == item.text
        assert item.fragment == f"char={item.start_char},{item.start_char + len(item.text)}"


@given(st.text(alphabet="ab .。\n\tß", max_size=2000), st.integers(5, 200))
@example("a" * 500, 100)
@example("word " * 100, 7)
@settings(max_examples=300, deadline=None)
def test_passages_hold_every_character_once_but_blanks_between(text, chars):
    found = list(passages(text, 0, len(text), chars))
    assert all(0 < end - start <= chars for start, end in found)
    assert all(text[start:end] == text[start:end].strip() for start, end in found)
    edges = [0, *(edge for pair in found for edge in pair), len(text)]
    assert edges == sorted(edges)
    for end, start in zip(edges[::2], edges[1::2], strict=True):
        assert not text[end:start].strip()


def test_a_long_paragraph_is_cut_after_a_sentence():
    text = "The first sentence is here. " * 3 + "The last one goes on and on without an end"
    cuts = [text[start:end] for start, end in passages(text, 0, len(text), 100)]
    assert cuts[0] == ("The first sentence is here. " * 3).strip()


def test_a_word_longer_than_a_passage_is_cut_anyway():
    assert list(passages("x" * 25, 0, 25, 10)) == [(0, 10), (10, 20), (20, 25)]


@given(st.text(alphabet="#ab`~=-\n ", max_size=300))
@settings(max_examples=300, deadline=None)
def test_sections_follow_each_other_without_a_gap(text):
    sections = markdown_sections(text)
    assert sections[0].start == 0 and sections[-1].end == len(text)
    assert all(one.end == two.start for one, two in itertools.pairwise(sections))


def test_a_guessed_encoding_is_recorded_and_noted_where_it_is_doubtful(tmp_path):
    long, short = tmp_path / "long.txt", tmp_path / "short.txt"
    long.write_bytes("Съешь же ещё этих мягких французских булок".encode("cp1251"))
    short.write_bytes("слово".encode("cp1251"))
    with collected_notes() as notes:
        [item] = read(long)
    assert item.metadata == {"encoding": "cp1251"} and not notes
    with collected_notes() as notes:
        [item] = read(short)
    assert item.text == "слово"
    assert notes == ["read as cp1251, a guess from few characters; save it as UTF-8 to be sure"]


POST = """---
title: Notes on ships
date: 2026-01-31
tags: [sea, steam]
---
Before.

# Notes on ships

## Engines

Words.
"""


def test_front_matter_is_metadata_and_never_a_heading(tmp_path):
    path = tmp_path / "post.md"
    path.write_text(POST)
    items = read(path)
    fields = {"title": "Notes on ships", "date": "2026-01-31", "tags": ["sea", "steam"], "encoding": "utf-8"}
    assert [dict(item.metadata) for item in items] == [fields] * 3
    assert [item.title for item in items] == ["Notes on ships", "Notes on ships", "Notes on ships › Engines"]
    assert items[0].text == "Before." and POST[items[2].start_char :].startswith("## Engines")
    assert not any("2026" in item.text for item in items)


def test_a_note_of_nothing_but_fields_is_read_as_it_stands(tmp_path):
    path = tmp_path / "note.md"
    path.write_text("---\ntitle: Ann\nborn: 1815\n---\n")
    [item] = read(path)
    assert "born: 1815" in item.text and item.metadata["born"] == 1815


def test_a_plain_text_has_no_front_matter(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text(POST)
    assert read(path)[0].text.startswith("---\ntitle") and "date" not in read(path)[0].metadata


def test_a_file_of_blanks_is_unreadable(tmp_path):
    path = tmp_path / "blank.md"
    path.write_text("\n \n\t\n")
    with pytest.raises(UnreadableMedia, match=r"blank.md: holds only white space"):
        read(path)


def test_a_long_text_is_refused(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("word " * 100)
    with pytest.raises(MediaLimit, match=r"long.txt: has 500 bytes, the limit for text is 499"):
        read(path, MediaLimits(text_bytes=499))
