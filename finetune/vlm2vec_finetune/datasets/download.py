"""Fetch a public set: stream its rows from the hub, unpack its images, and write a pairs file that training reads.

Rows are streamed, so that a set is never on disk twice; training needs pairs by number, which a pairs file gives.
"""

from __future__ import annotations

import json
import logging
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from vlm2vec_finetune.datasets.public import PublicSet, Row, pairs_of
from vlm2vec_finetune.pairs import write_pairs
from vlm2vec_rag.errors import UnreadableMedia
from vlm2vec_rag.extras import require

logger = logging.getLogger(__name__)


def download(
    which: PublicSet,
    data: Path,
    *,
    cap: int | None = None,
    mirror: Path | None = None,
    say: Callable[[str], None] = logger.info,
) -> Path:
    """Bring a set to `data/<repo>/<name>.jsonl`, with its images beside.

    Args:
        which: The set.
        data: The folder of all sets; sets of one repository share their images.
        cap: At most so many pairs; None takes what the paper's mix uses.
        mirror: A local copy of the repository, read instead of the hub.
        say: Told what is being fetched.

    Returns:
        The pairs file.

    Raises:
        MissingExtra: `datasets` is not installed.
        UnreadableMedia: The hub cannot be reached, an archive is broken, or no row makes a pair.
    """
    folder = data / which.repo.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if which.archives:
            _unpack_all(which, folder, mirror, say)
        say(f"{which.name}: reading rows of {which.repo}")
        path = folder / f"{which.name}.jsonl"
        count = write_pairs(pairs_of(_rows(which, mirror), which.parse, folder, cap or which.cap), path)
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        if isinstance(error, UnreadableMedia):
            raise
        raise UnreadableMedia(f"{which.name} cannot be fetched: {error}; run the same command again") from error
    if count == 0:
        path.unlink()
        raise UnreadableMedia(f"{which.name}: no row of {which.repo} made a pair; its images are not in {folder}")
    say(f"{which.name}: {count} pairs in {path}")
    return path


def _rows(which: PublicSet, mirror: Path | None) -> Iterator[Row]:
    """The set's rows, one by one, images as bytes."""
    if which.rows:
        with _file(which, which.rows, mirror).open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
        return
    datasets = require("datasets", "finetune")
    if mirror is None:
        rows = datasets.load_dataset(which.repo, which.config, split=which.split, streaming=True)
    else:
        found = (mirror / which.config if which.config else mirror).rglob(f"{which.split}-*.parquet")
        files = [str(path) for path in sorted(found)]
        if not files:
            raise UnreadableMedia(f"{mirror} has no {which.split}-*.parquet of {which.name}")
        rows = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    if "image" in (rows.column_names or ()):
        rows = rows.cast_column("image", datasets.Image(decode=False))
    yield from rows


def _unpack_all(which: PublicSet, folder: Path, mirror: Path | None, say: Callable[[str], None]) -> None:
    """Unpack each archive once; a mark says that it was unpacked to its end."""
    names = _names(which, mirror)
    if not names:
        raise UnreadableMedia(f"{which.repo} has no {which.archives}; check its page on the hub")
    for name in names:
        mark = folder / ".unpacked" / name.replace("/", "_")
        if mark.exists():
            continue
        say(f"{which.name}: fetching {name}")
        archive, into = _file(which, name, mirror), folder / which.unpack_into
        into.mkdir(exist_ok=True)
        if name.endswith(".zip"):
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(into)  # noqa: S202  zipfile takes leading slashes and `..` away itself
        else:
            with tarfile.open(archive) as tarred:
                tarred.extractall(into, filter="data")  # refuses paths that lead out of the folder
        mark.parent.mkdir(exist_ok=True)
        mark.touch()


def _names(which: PublicSet, mirror: Path | None) -> list[str]:
    if mirror is not None:
        files = [path.relative_to(mirror).as_posix() for path in mirror.rglob("*") if path.is_file()]
    else:
        from huggingface_hub import HfApi

        files = HfApi().list_repo_files(which.repo, repo_type="dataset")
    return sorted(name for name in files if fnmatch(name, which.archives))


def _file(which: PublicSet, name: str, mirror: Path | None) -> Path:
    if mirror is not None:
        return mirror / name
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(which.repo, name, repo_type="dataset"))
