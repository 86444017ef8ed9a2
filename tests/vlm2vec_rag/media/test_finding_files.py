"""Folders to files: each once, in order, and nothing from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from permissions import as_nobody, open_folder

from vlm2vec_rag.disk import mark_as_cache
from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.media import PassedOver, find_media


@pytest.fixture
def tree(tmp_path) -> Path:
    root = tmp_path / "docs"
    names = "b.pdf a.MD z.mp4 skip.xyz .hidden.pdf sub/c.jpg sub/deeper/d.txt .git/e.txt 10.png 2.png".split()
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
    assert names(find_media([tree / "skip.xyz", tree / ".hidden.pdf"]), tree) == ["skip.xyz", ".hidden.pdf"]


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


def passed_over(path: Path) -> PassedOver:
    found = PassedOver()
    list(find_media(path, passed_over=found))
    return found


def test_what_is_passed_over_is_counted_by_its_suffix(tree):
    for name in ("a.XYZ", "b.abc", "sub/c.xyz", "Makefile", "x.bin"):
        (tree / name).write_text("x")
    found = passed_over(tree)
    assert dict(found.kinds) == {".xyz": 3, ".abc": 1, "without a suffix": 1, ".bin": 1}
    assert str(found) == "3 .xyz, 1 .abc, 1 .bin, 1 without a suffix"
    assert not found.unreadable


def test_a_long_list_of_kinds_is_cut(tree):
    for number in range(20):
        (tree / f"a.x{number:02}").write_text("x")
    assert str(passed_over(tree)).endswith(", 1 .x07, 13 of other kinds")


def test_subtitle_files_are_read_with_their_video_and_not_passed_over(tree):
    for name in ("z.srt", "z.en.VTT", "other.srt", "sub/z.srt"):
        (tree / name).write_text("x")
    assert dict(passed_over(tree).kinds) == {".xyz": 1, ".srt": 2}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_pipes_and_broken_links_are_passed_over(tree):
    os.mkfifo(tree / "pipe.pdf")
    (tree / "gone.pdf").symlink_to(tree / "nowhere.pdf")
    (tree / "self.pdf").symlink_to(tree / "self.pdf")
    found = passed_over(tree)
    assert found.kinds["pipes, devices or broken links"] == 3 and not found.unreadable
    assert len(list(find_media(tree))) == 7


@pytest.mark.parametrize("given", ["", "my.vlm2vec"])
def test_a_collection_and_caches_in_a_folder_are_no_files_of_it(tree, given):
    place = tree / "my.vlm2vec"
    for name in (".lock", "default/collection.json", "thumbnails/ab/page.jpg", "thumbnails/notes.md"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x")
    (tree / "cache" / "ab").mkdir(parents=True)
    (tree / "cache" / "ab" / "page.jpg").write_text("x")
    mark_as_cache(tree / "cache")
    assert len(list(find_media(tree / given))) == (0 if given else 7)
    # a lock alone makes no collection
    (tree / "sub" / ".lock").touch()
    assert len(list(find_media(tree / given))) == (0 if given else 7)


def test_a_folder_that_may_not_be_listed_is_named_and_the_others_go_on():
    with open_folder() as folder:
        for name in ("shut/a.txt", "open/b.txt"):
            (folder / name).parent.mkdir()
            (folder / name).write_text("x")
        (folder / "shut").chmod(0)
        found = PassedOver()
        with as_nobody():
            names = [path.name for path in find_media(folder, passed_over=found)]
            with pytest.raises(UnreadableMedia, match=r"a.txt: may not be looked at; check the permissions"):
                find_media(folder / "shut" / "a.txt")
        assert names == ["b.txt"]
        [(place, reason)] = found.unreadable.items()
        assert place.endswith("/shut") and reason == "cannot be listed (Permission denied); check its permissions"
