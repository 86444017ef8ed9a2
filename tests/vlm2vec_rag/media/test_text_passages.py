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
from vlm2vec_rag.media.decode import decode
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
    started = time.monotonic()
    found = list(passages(text, 0, len(text), 2000))
    assert markdown_sections(text)[1].title.endswith("b") and len(found) > 1000
    assert time.monotonic() - started < 5  # a quadratic way takes minutes


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


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
def test_encodings_are_found(tmp_path, encoding):
    words = "Größe, naïve café: 25 % of it\nand another line of words\n" * 5
    path = tmp_path / "a.txt"
    path.write_bytes(words.encode(encoding))
    [item] = read(path)
    assert item.text == words.strip()
    found = str(item.metadata["encoding"])
    assert found == "windows-1252" if "utf" not in encoding else found.startswith(encoding.removesuffix("-sig"))


def test_one_damaged_byte_does_not_garble_a_whole_file():
    text, encoding = decode(("日本語のテキスト" * 20).encode()[:-1] + b"\xff\n" + "と".encode())
    assert encoding == "utf-8" and text.startswith("日本語") and text.endswith("と")


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
