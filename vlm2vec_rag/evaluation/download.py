"""Fetch what tasks need from the hub: sizes first, then the files, then only those tasks' images out of the archives.

Images and frames lie in a few archives of `TIGER-Lab/MMEB-V2`, each for several tasks; rows lie in a data set per
task. Archives stay in the hub's own cache, so another task out of the same archive is not fetched twice.
"""

from __future__ import annotations

import io
import logging
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.evaluation.hub_layout import HubPath, frame_place
from vlm2vec_rag.evaluation.tasks import Task
from vlm2vec_rag.terminal import size_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

ARCHIVES = "TIGER-Lab/MMEB-V2"
_ROW_FILES = ("*.parquet", "*.jsonl", "*.json", "*.csv", "*.arrow")  # and not the raw videos some data sets carry
# family -> archive (or the parts of one), and where it is unpacked, as experiments/public/data/download_data.sh does
_FRAMES = "video-tasks/frames"
_ARCHIVE_OF = {
    "V-CLS": (f"{_FRAMES}/video_cls.tar.gz", f"{_FRAMES}/video_cls"),
    "V-RET": (f"{_FRAMES}/video_ret.tar.gz", f"{_FRAMES}/video_ret"),
    "V-MRET": (f"{_FRAMES}/video_mret.tar.gz", _FRAMES),
    "V-QA": (f"{_FRAMES}/video_qa.tar.gz", _FRAMES),
}
_IMAGE_ARCHIVE = ("image-tasks/mmeb_v1.tar.gz", "image-tasks")


@dataclass(frozen=True, slots=True)
class Part:
    """Files of one data set on the hub, for one or more tasks."""

    repo: str
    files: tuple[tuple[str, int], ...]  # name, bytes
    tasks: tuple[str, ...]
    unpack_into: str | None = None  # archives: a folder of the data folder

    @property
    def n_bytes(self) -> int:
        return sum(size for _, size in self.files)


def plan(tasks: Sequence[Task], root: Path, *, endpoint: str | None = None) -> list[Part]:
    """What would be fetched, with its size; nothing is fetched but lists of files.

    Raises:
        UnreadableMedia: The hub cannot be reached, or lacks a data set.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint)
    parts: list[Part] = []
    for path, names in _rows_wanted(tasks, root).items():
        files = [each for each in _list(api, path.repo) if _is_wanted(each[0], path)]
        if not files:
            raise UnreadableMedia(f"{path.repo} on the hub has no rows for {', '.join(names)}; check its page there")
        parts.append(Part(path.repo, tuple(files), names))
    wanted = _archives_wanted(tasks, root)
    listed = _list(api, ARCHIVES) if wanted else []
    for (archive, folder), names in wanted.items():
        files = [each for each in listed if each[0] == archive or each[0].startswith(f"{archive}-")]
        if not files:
            raise UnreadableMedia(f"{ARCHIVES} on the hub has no {archive}; check its page there")
        parts.append(Part(ARCHIVES, tuple(files), names, folder))
    return parts


def fetch(
    parts: Sequence[Part],
    root: Path,
    *,
    endpoint: str | None = None,
    on_part: Callable[[Part], None] | None = None,
) -> None:
    """Fetch and unpack; what is already here is left as it is, so a run that was cut off goes on.

    Args:
        parts: See `plan`.
        root: The data folder.
        endpoint: Another hub than the usual one.
        on_part: Called before each part.

    Raises:
        InvalidInput: The disk is too full.
        UnreadableMedia: A file cannot be fetched, or an archive is broken.
    """
    from huggingface_hub import hf_hub_download

    root.mkdir(parents=True, exist_ok=True)
    needed, free = sum(part.n_bytes for part in parts), shutil.disk_usage(root).free
    if needed > free:
        raise InvalidInput(f"{size_of(needed)} are needed, and {root} has {size_of(free)} free; make room first")
    for part in parts:
        if on_part:
            on_part(part)
        # rows go where they are read from; archives only pass through, so they stay in the hub's cache
        into = root / "rows" / part.repo if part.unpack_into is None else None
        try:
            local = [
                Path(hf_hub_download(part.repo, name, repo_type="dataset", local_dir=into, endpoint=endpoint))
                for name, _ in part.files
            ]
            if part.unpack_into is not None:
                _unpack(local, root / part.unpack_into, part.tasks)
                for task in part.tasks:
                    _mark(root, task).parent.mkdir(exist_ok=True)
                    _mark(root, task).touch()
        except (OSError, ValueError, tarfile.TarError) as error:
            raise UnreadableMedia(f"{part.repo} cannot be fetched: {error}; run the same command again") from error


def _rows_wanted(tasks: Sequence[Task], root: Path) -> dict[HubPath, tuple[str, ...]]:
    wanted: dict[HubPath, tuple[str, ...]] = {}
    for task in tasks:
        path = HubPath.of(task)
        wanted[path] = (*wanted.get(path, ()), task.name)
    return wanted


def _archives_wanted(tasks: Sequence[Task], root: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    wanted: dict[tuple[str, str], tuple[str, ...]] = {}
    for task in tasks:
        if task.modality != "visdoc" and not _mark(root, task.name).exists():
            archive = _IMAGE_ARCHIVE if task.modality == "image" else _ARCHIVE_OF[task.family]
            wanted[archive] = (*wanted.get(archive, ()), task.name)
    return wanted


def _is_wanted(name: str, path: HubPath) -> bool:
    if name == "README.md":
        return True
    if not any(fnmatch(name, pattern) for pattern in _ROW_FILES):
        return False
    named = [config for config in path.configs if config is not None]
    # a configuration is a folder, or a part of the file's name; a data set of three configurations is wanted whole
    return len(named) != 1 or named[0] in PurePosixPath(name).parts or named[0] in PurePosixPath(name).stem


def _list(api: HfApi, repo: str) -> list[tuple[str, int]]:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        siblings = api.dataset_info(repo, files_metadata=True).siblings or []
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise UnreadableMedia(f"the hub does not list the files of {repo}: {error}") from error
    return [(each.rfilename, each.size or 0) for each in siblings]


def _unpack(archives: Sequence[Path], folder: Path, tasks: Sequence[str]) -> None:
    """Unpack the members that belong to the tasks, in one pass."""
    from vlm2vec_rag.evaluation.tasks import TASKS

    videos = {frame_place(TASKS[name]).split("/")[1] for name in tasks if TASKS[name].modality == "video"}
    n_files = 0
    with tarfile.open(fileobj=io.BufferedReader(_Joined(archives)), mode="r|gz") as archive:
        for member in archive:
            # image tasks share images (MSCOCO is in four), so their archive is unpacked whole
            if member.isfile() and (not videos or videos.intersection(PurePosixPath(member.name).parts)):
                archive.extract(member, folder, filter="data")  # refuses paths that lead out of the folder
                n_files += 1
    if not n_files:
        raise tarfile.TarError(f"{archives[0].name} holds no file of {', '.join(tasks)}")
    logger.info("unpacked %d files for %s", n_files, ", ".join(tasks))


def _mark(root: Path, task: str) -> Path:
    """Stands for an archive that was unpacked to its end."""
    return root / ".unpacked" / task


class _Joined(io.RawIOBase):
    """The parts of a split archive, read as one file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._chunks = self._read(paths)
        self._rest = b""

    @staticmethod
    def _read(paths: Sequence[Path]) -> Iterator[bytes]:
        for path in sorted(paths):
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    yield chunk

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._rest = self._rest or next(self._chunks, b"")
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n
