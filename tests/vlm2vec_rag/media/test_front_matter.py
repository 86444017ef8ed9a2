"""Front matter of Markdown: what is a block of fields, and what is a rule above a text."""

from __future__ import annotations

import pytest

from vlm2vec_rag.media.front_matter import front_matter


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ('---\ntitle: "Hi"\ntags:\n  - x\n  - y\nnested:\n  a: 1\n---\n', {"title": "Hi", "tags": ["x", "y"]}),
        ("---\ntitle: x\ndraft: true\nweight: 3\n...\n", {"title": "x", "draft": True, "weight": 3}),
        ("---\ndate: 2026-01-31 10:00:00\n---\n", {"date": "2026-01-31T10:00:00"}),
        ("---\ntags: sea, steam\n---\n", {"tags": ["sea", "steam"]}),
        ("---\n# written by hand\nTitle: x\nempty:\n---\n", {"title": "x"}),
        # no valid YAML: a colon, a date that is none
        (
            "---\ntitle: A: b\ndate: 2026-01-31\ntags: [a, b]\n---\n",
            {"title": "A: b", "date": "2026-01-31", "tags": ["a", "b"]},
        ),
        ("---\ntitle: x\ndate: 2026-02-30\n---\n", {"title": "x", "date": "2026-02-30"}),
    ],
)
def test_yaml(block, fields):
    assert front_matter(block + "# Text\n") == (fields, len(block))


def test_toml():
    pytest.importorskip("tomllib")
    block = "+++\ntitle = 'T'\ndate = 2026-01-31T10:00:00Z\ntags = ['a']\n[extra]\na = 1\n+++\n"
    expected = {"title": "T", "date": "2026-01-31T10:00:00+00:00", "tags": ["a"]}
    assert front_matter(block + "text") == (expected, len(block))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "---\n---\ntext",
        "---\ntitle: never closed\n",
        "---\n\nSome words between two rules.\n\n---\n",
        "Text first.\n---\ntitle: x\n---\n",
        "----\ntitle: x\n----\n",
        "---\n" + "a: b\n" * 20_000 + "---\n",
    ],
)
def test_what_is_no_front_matter_stays_text(text):
    assert front_matter(text) == ({}, 0)


def test_a_bomb_of_references_stays_small():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    fields, _ = front_matter("---\n" + "\n".join(lines) + "\n---\n")
    assert fields == {"a0": ["x", "x"]}
