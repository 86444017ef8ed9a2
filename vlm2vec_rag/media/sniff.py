"""What a file is, by its content. Reads a few kilobytes, opens nothing else and decodes nothing."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vlm2vec_rag.errors import UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media.decode import decode, looks_like_text
from vlm2vec_rag.media.settings import MediaKind

HEAD_BYTES = 65_536

# Pillow's names; formats that run an interpreter (EPS), or that only its rarely used readers know, are left out
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF")

SUPPORTED: dict[str, MediaKind] = {
    **dict.fromkeys([".pdf"], "pdf"),
    **dict.fromkeys(
        [".png", ".jpg", ".jpeg", ".jpe", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".jp2", ".j2k", ".avif"], "image"
    ),
    **dict.fromkeys(
        [".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"],
        "video",
    ),
    **dict.fromkeys([".ogv", ".flv", ".wmv", ".asf"], "video"),
    **dict.fromkeys([".txt", ".text", ".md", ".markdown"], "text"),
}
"""Suffixes that a walk through a folder takes up. A file named outright is judged by its content alone."""

_EXPORT_PDF = "export it to PDF first"
_NOT_READ: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or an Office document", "unpack it, or export the document to PDF first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", _EXPORT_PDF),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"{\\rtf", "an RTF document", _EXPORT_PDF),
    (b"%!PS", "PostScript", "convert it with ps2pdf first"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)", "convert it to PDF or PNG first"),
    (b"AT&TFORM", "a DjVu document", "convert it to PDF first"),
    (b"8BPS", "a Photoshop image", "export it to PNG first"),
    (b"ID3", "audio", "only videos with an image can be read"),
    (b"fLaC", "audio", "only videos with an image can be read"),
    (b"#EXTM3U", "a playlist", "give the videos themselves; a playlist is never followed"),
    (b"ffconcat version", "a playlist", "give the videos themselves; a playlist is never followed"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run: git lfs pull"),
)
_MARKUP: tuple[tuple[bytes, str, str], ...] = (
    (b"<svg", "an SVG drawing", "convert it to PNG or PDF first"),
    (b"<!doctype svg", "an SVG drawing", "convert it to PNG or PDF first"),
    (b"<!doctype html", "a web page", "convert it to Markdown or print it to PDF first"),
    (b"<html", "a web page", "convert it to Markdown or print it to PDF first"),
    (b"<mpd", "a playlist", "give the videos themselves; a playlist is never followed"),
)
_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_VIDEOS: tuple[tuple[bytes, str], ...] = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """Kind and format of a file."""

    kind: MediaKind
    format: str
    size_bytes: int


def sniff(path: str | os.PathLike[str]) -> Sniffed:
    """Tell the kind of a file from its first bytes.

    Raises:
        UnreadableMedia: There is no such file, it is empty, or it may not be read.
        UnsupportedMedia: No reader takes it.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  one call also for odd paths
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableMedia(f"{path}: is a folder, expected a file; list its files with find_media")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise UnsupportedMedia(f"{path}: is a pipe, socket or device, expected a file")
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise UnreadableMedia(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise UnreadableMedia(f"{path}: may not be read; check its permissions") from None
    except (ValueError, OSError) as error:  # a NUL in the path, a broken disk, a symlink loop
        if isinstance(error, UnreadableMedia | UnsupportedMedia):
            raise
        raise UnreadableMedia(f"{path}: cannot be opened ({error}); check the path and the disk") from error
    if not head:
        raise UnreadableMedia(f"{path}: is empty (0 bytes); restore it or leave it out")
    kind, kind_format = _judge(path, head)
    return Sniffed(kind, kind_format, status.st_size)


def _judge(path: str | os.PathLike[str], head: bytes) -> tuple[MediaKind, str]:
    if b"%PDF-" in head[:1024]:  # mail gateways and printers put lines before it
        return "pdf", "pdf"
    if image := _image_format(path, head):
        return "image", image
    if video := _video_format(path, head):
        return "video", video
    if _is_transport_stream(head):
        return "video", "mpegts"
    for magic, what, advice in _NOT_READ:
        if head.startswith(magic):
            raise UnsupportedMedia(f"{path}: is {what}; {advice}")
    if looks_like_text(head):
        start = decode(head).text.lstrip("\ufeff \t\r\n")[:2000].lower().encode()
        for magic, what, advice in _MARKUP:
            if start.startswith(magic) or (start.startswith(b"<?xml") and magic in start):
                raise UnsupportedMedia(f"{path}: is {what}; {advice}")
        return "text", "markdown" if Path(path).suffix.lower() in (".md", ".markdown") else "text"
    raise UnsupportedMedia(
        f"{path}: is of no known kind (it starts with {head[:8].hex(' ')}); "
        "expected a PDF, an image, a video, or plain text"
    )


def _image_format(path: str | os.PathLike[str], head: bytes) -> str | None:
    for magic, name in _IMAGES:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "bmp"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"avif", b"avis"):
            return "avif"
        if head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
            raise UnsupportedMedia(f"{path}: is a HEIC image; convert it to JPEG or PNG first")
    return None


def _video_format(path: str | os.PathLike[str], head: bytes) -> str | None:
    for magic, name in _VIDEOS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp" or (head[4:8] in _QUICKTIME_ATOMS and head[:2] == b"\x00\x00"):
        return "mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        raise UnsupportedMedia(f"{path}: is audio; only videos with an image can be read")
    return None


def _is_transport_stream(head: bytes) -> bool:
    """MPEG-TS has no header: packets of 188 bytes, or 192 with a time stamp, each begin with 0x47."""
    if b"\x00" not in head and b"\xff" not in head:
        return False  # a text of many a G
    return any(
        set(head[first : first + 5 * packet : packet]) == {0x47}
        for packet in (188, 192)
        for first in range(packet)  # a recording may begin in the middle of a packet
        if len(head) > first + 4 * packet
    )
