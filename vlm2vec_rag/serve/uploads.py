"""Uploaded files: streamed to disk as they come, under safe names, within limits, and sniffed before they are kept.

The body of a request is never held in memory nor trusted to say how long it is. Of the name that a client gives only
the last part counts, and of that only characters that mean nothing to a shell, a browser or a file system.
"""

from __future__ import annotations

import filecmp
import re
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vlm2vec_rag.disk import is_full
from vlm2vec_rag.errors import InvalidInput, MediaLimit, VlmRagError
from vlm2vec_rag.serve.jobs import shown_reason

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartParser

MOST_FILES = 2000  # in one request
MOST_FIELD_BYTES = 10_000  # of a form field that is no file
MOST_NAME_BYTES = 120
SUBTITLES = frozenset({".srt", ".vtt"})
_UNSAFE = re.compile(r"[^\w .,()+@=\-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A file that was sent: kept at `path`, or not kept, and why."""

    name: str
    path: Path | None = None
    error: str = ""


class Uploads:
    """A folder of uploaded files, with a budget.

    Args:
        folder: Made when the first file comes.
        max_file_bytes: Of one file.
        budget_bytes: Of all files in the folder.
        keep_free_bytes: That must stay free on the disk.
    """

    def __init__(self, folder: Path, *, max_file_bytes: int, budget_bytes: int, keep_free_bytes: int) -> None:
        self.folder = folder
        self.max_file_bytes, self.budget_bytes, self.keep_free_bytes = max_file_bytes, budget_bytes, keep_free_bytes
        self._naming = threading.Lock()

    def room_bytes(self) -> int:
        """How many bytes may still come."""
        there = self.folder if self.folder.is_dir() else self.folder.absolute().parent
        while not there.exists():
            there = there.parent
        used = (
            sum(each.stat().st_size for each in self.folder.rglob("*") if each.is_file()) if self.folder.is_dir() else 0
        )
        return max(0, min(self.budget_bytes - used, shutil.disk_usage(there).free - self.keep_free_bytes))

    async def receive(self, body: AsyncIterable[bytes], content_type: str) -> tuple[list[Received], dict[str, str]]:
        """Take the files of a `multipart/form-data` body, and its other fields.

        Args:
            body: In pieces, as they come.
            content_type: Of the request, with its boundary.

        Returns:
            Every file that was sent, kept or not, in order; and the form's fields by name.

        Raises:
            InvalidInput: The body is no such form.
            MediaLimit: The budget or the disk has no room for it.
        """
        try:
            return await self._receive(body, content_type)
        except OSError as error:
            if isinstance(error, VlmRagError):  # some of this package's are also of that kind
                raise
            if is_full(error, self.folder):
                raise MediaLimit("the disk of this server is full; nothing of this upload was kept") from error
            raise MediaLimit(f"this server cannot keep uploads: {error.strerror or error}") from error

    async def _receive(self, body: AsyncIterable[bytes], content_type: str) -> tuple[list[Received], dict[str, str]]:
        from anyio.to_thread import run_sync

        self.folder.mkdir(parents=True, exist_ok=True)
        # beside the files, so that keeping one is a rename
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".incoming-") as incoming:
            form = _Form(content_type, Path(incoming), self.max_file_bytes, self.room_bytes())
            try:
                async for piece in body:
                    if piece:
                        await run_sync(form.write, piece)
                form.check_whole()
            finally:
                form.close()
            received = [await run_sync(self._keep, name, path, error) for name, path, error in form.files]
        return received, form.fields

    def keep(self, name: str, path: Path) -> Path:
        """Move a file here under a safe name, beside others of the same name; one that is here already stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = safe_name(name)
        with self._naming:
            target, number = self.folder / name, 2
            while target.exists() and not filecmp.cmp(target, path, shallow=False):
                target = self.folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
                number += 1
            if target.exists():
                path.unlink()
            else:
                path.rename(target)
        return target

    def owns(self, source: str) -> bool:
        """Whether a source is a file in this folder."""
        return Path(source).is_relative_to(self.folder.resolve())

    def _keep(self, name: str, path: Path, error: str) -> Received:
        from vlm2vec_rag.media.sniff import sniff

        shown = safe_name(name)
        if not error:
            try:
                sniff(path)  # by content: a web page or a script is refused whatever its name says
            except VlmRagError as refusal:
                error = shown_reason(str(refusal).replace(str(path), shown))
        if error:
            path.unlink(missing_ok=True)
            return Received(name=shown, error=error)
        return Received(name=shown, path=self.keep(name, path))


def safe_name(name: str) -> str:
    """The last part of a name, without hidden, reserved, unprintable or meaningful characters; never empty."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    name = "".join(each for each in name if unicodedata.category(each)[0] != "C")  # controls and direction marks
    name = _UNSAFE.sub("_", name).strip(" .").lstrip("-")
    stem, suffix = Path(name).stem, Path(name).suffix[:12]
    while len((stem + suffix).encode()) > MOST_NAME_BYTES:
        stem = stem[:-1]
    name = (stem + suffix).strip(" .") or "file"
    return f"_{name}" if _RESERVED.match(name) else name


class _Form:
    """A multipart body on its way to disk. Callbacks of the parser write, so a body is as large as one piece of it."""

    def __init__(self, content_type: str, folder: Path, max_file_bytes: int, room_bytes: int) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise InvalidInput("the request is no form with files; expected multipart/form-data with a boundary")
        self._parse_header = parse_options_header
        self._folder, self._max_file_bytes, self._room = folder, max_file_bytes, room_bytes
        self.files: list[tuple[str, Path, str]] = []
        self.fields: dict[str, str] = {}
        self._parser: MultipartParser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._ended,
            },
        )
        self._is_whole = False
        self._header, self._value, self._disposition = b"", b"", b""
        self._file: BinaryIO | None = None
        self._field: tuple[str, bytearray] | None = None
        self._name, self._path, self._size, self._error = "", folder, 0, ""

    def write(self, piece: bytes) -> None:
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidInput(f"the form cannot be read: {error}; send multipart/form-data") from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def check_whole(self) -> None:
        if not self._is_whole:
            raise InvalidInput("the upload ended before its time; send it again")

    def _part_begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = self._parse_header(self._disposition)
        file_name = options.get(b"filename")
        if file_name is None:
            self._field = (options.get(b"name", b"").decode("utf-8", "replace"), bytearray())
            return
        if not file_name:  # a file input in which nothing was chosen
            self._field = ("", bytearray())
            return
        if len(self.files) >= MOST_FILES:
            raise MediaLimit(f"there are over {MOST_FILES} files in this upload; send fewer at once")
        self._name, self._size, self._error = file_name.decode("utf-8", "replace"), 0, ""
        # a name of our own; the suffix alone is the client's, because a Markdown file is told from a text by it
        suffix = Path(safe_name(self._name)).suffix
        self._path = self._folder / f"{len(self.files)}{suffix}"
        self._file = self._path.open("wb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            if len(self._field[1]) + end - start > MOST_FIELD_BYTES:
                raise MediaLimit(f"the form field {self._field[0][:40]!r} is over {MOST_FIELD_BYTES} bytes")
            self._field[1].extend(data[start:end])
            return
        self._size += end - start
        self._room -= end - start
        if self._room < 0:
            raise MediaLimit("there is no room for this upload; remove files from the library, or ask for more room")
        if self._size > self._max_file_bytes:
            # the rest is read and dropped, so that the other files of the upload still come in
            self._error = f"is over {self._max_file_bytes / 1e6:,.0f} MB; upload a smaller one"
            self._room += end - start
            if self._size > 20 * self._max_file_bytes:
                raise MediaLimit(f"{safe_name(self._name)} {self._error}")
        elif self._file is not None:
            self._file.write(data[start:end])

    def _part_end(self) -> None:
        if self._field is not None:
            name, value = self._field
            if name:
                self.fields[name] = value.decode("utf-8", "replace")
            self._field = None
        elif self._file is not None:
            self._file.close()
            self._file = None
            self.files.append((self._name, self._path, self._error))

    def _ended(self) -> None:
        self._is_whole = True


def indexable(received: list[Received]) -> list[Path]:
    """The kept files to index; subtitles are read with the video beside them, and alone where nothing else came."""
    paths = [each.path for each in received if each.path is not None]
    return [path for path in paths if path.suffix.lower() not in SUBTITLES] or paths
