"""Fill the disk: a collection on a small tmpfs of its own, at ten sizes; then make room and go on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus import Corpus, differences, snapshot
from forked import forked
from report import Row

import vlm2vec_rag as vr
from vlm2vec_rag.errors import DiskFull

SIZES_MB = (1, 20, 60, 120, 170, 200, 240, 300, 360, 440)


def run(folder: Path, seed: int, short: bool) -> Iterator[Row]:
    row = Row(part="disk", what="index on a tmpfs that is too small, then larger", tried=0)
    corpus = Corpus(folder / "files", seed, texts=30, images=30)
    fresh = folder / "fresh"
    made = forked(lambda tell: _index(fresh, corpus.folder))
    wanted = forked(lambda tell: snapshot(fresh)).result
    if not made.is_whole:
        raise RuntimeError(made.error)
    outcomes = []
    for size_mb in SIZES_MB[3:4] if short else SIZES_MB:
        try:
            with _small_disk(folder / "disk", size_mb) as disk:
                ended = forked(lambda tell, disk=disk: _index(disk / "c", corpus.folder))
                row.tried += 1
                if ended.signal:
                    row.broke.append(f"{size_mb} MB: ended by {ended.signal}")
                elif ended.error:
                    row.broke.append(f"{size_mb} MB: {ended.error}")
                elif ended.result != "done":
                    outcomes.append(f"{size_mb} MB refused")
                else:
                    outcomes.append(f"{size_mb} MB enough")
                if parts := [each.name for each in disk.rglob("*.part*")]:
                    row.broke.append(f"{size_mb} MB: half written: {parts[:3]}")
                _command("mount", "-o", "remount,size=2g", str(disk))
                went_on = forked(lambda tell, disk=disk: _index(disk / "c", corpus.folder))
                if went_on.result != "done":
                    said = went_on.error or went_on.signal or went_on.result
                    row.broke.append(f"{size_mb} MB, with room again: {said}")
                elif apart := differences(wanted, forked(lambda tell, disk=disk: snapshot(disk / "c")).result):
                    row.broke.append(f"{size_mb} MB, gone on with: {apart}")
        except PermissionError:
            yield Row(part="disk", what="left out: mounting a tmpfs is not allowed here", tried=0)
            return
    row.found = "; ".join(outcomes)
    yield row


def _index(place: Path, files: Path) -> str:
    """`done`, or what was said of the disk."""
    try:
        with vr.open(place, "none") as library:
            report = library.index(files)
            return "done" if not report.failures else report.failures[0].reason
    except DiskFull as error:
        return str(error)


@contextmanager
def _small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    _command("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "vlm2vec-torture", str(folder))
    try:
        yield folder
    finally:
        _command("umount", "-l", str(folder))


def _command(*words: str) -> Any:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    return done
