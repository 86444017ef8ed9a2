"""Folders to files: each once, in order, and nothing from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.media import find_media


@pytest.fixture
def tree(tmp_path) -> Path:
    root = tmp_path / "docs"
    names = "b.pdf a.MD z.mp4 skip.docx .hidden.pdf sub/c.jpg sub/deeper/d.txt .git/e.txt 10.png 2.png".split()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


def names(paths, root) -> list[str]:
    return [path.relative_to(root.resolve()).as_posix() for path in paths]


def test_a_folder_gives_what_can_be_read_in_order(tree):
    found = names(find_media(tree), tree)
    assert found == ["10.png", "2.png", "a.MD", "b.pdf", "z.mp4", "sub/c.jpg", "sub/deeper/d.txt"]


def test_without_recursion_only_its_own_files(tree):
    assert names(find_media(tree, recursive=False), tree) == ["10.png", "2.png", "a.MD", "b.pdf", "z.mp4"]


def test_a_file_named_outright_is_taken_whatever_its_name(tree):
    assert names(find_media([tree / "skip.docx", tree / ".hidden.pdf"]), tree) == ["skip.docx", ".hidden.pdf"]


def test_each_file_once(tree):
    found = list(find_media([tree / "b.pdf", tree, tree / "sub", tree / "sub" / ".." / "b.pdf"]))
    assert len(found) == len(set(found)) == 7 and found[0].name == "b.pdf"


def test_links_that_lead_outside_are_not_followed(tree, tmp_path):
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "key.txt").write_text("secret")
    (tree / "out").symlink_to(outside)
    (tree / "key.txt").symlink_to(outside / "key.txt")
    (tree / "gone.txt").symlink_to(tree / "nowhere.txt")
    assert len(names(find_media(tree), tree)) == 7
    # named outright it is what was asked for
    assert [path.name for path in find_media(tree / "out")] == ["key.txt"]


def test_links_in_a_circle_end(tree):
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "sub" / "self").symlink_to(tree / "sub" / "self")
    (tree / "again").symlink_to(tree / "sub")
    assert len(list(find_media(tree))) == 7


def test_a_missing_path_is_named_before_any_file_is_returned(tree):
    with pytest.raises(UnreadableMedia, match="nowhere: no such file or folder"):
        find_media([tree, tree / "nowhere"])


def test_typescript_is_no_transport_stream(tree):
    (tree / "app.ts").write_text("export const answer: number = 42;\n")
    (tree / "film.ts").write_bytes((b"G" + b"\x00\xff" * 93 + b"\x01") * 6)
    found = [path.name for path in find_media(tree)]
    assert "film.ts" in found and "app.ts" not in found
