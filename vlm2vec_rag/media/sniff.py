"""What a file is, by its content. Reads a few kilobytes, opens nothing else and decodes nothing."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from vlm2vec_rag.errors import EncryptedMedia, MediaError, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media.decode import decode, looks_like_text
from vlm2vec_rag.media.settings import MediaKind

HEAD_BYTES = 65_536

# Pillow's names; formats that run an interpreter (EPS), or that only its rarely used readers know, are left out
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF")

SUPPORTED: dict[str, MediaKind] = {
    **dict.fromkeys([".pdf"], "pdf"),
    **dict.fromkeys(
        [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".jp2", ".j2k", ".avif"],
        "image",
    ),
    **dict.fromkeys(
        [".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"],
        "video",
    ),
    **dict.fromkeys([".ogv", ".flv", ".wmv", ".asf"], "video"),
    **dict.fromkeys(
        [".pptx", ".pptm", ".ppsx", ".ppt", ".pps", ".odp", ".docx", ".docm", ".doc", ".odt", ".rtf"], "document"
    ),
    **dict.fromkeys([".xlsx", ".xlsm", ".xls", ".ods"], "document"),
    **dict.fromkeys([".txt", ".text", ".md", ".markdown", ".html", ".htm", ".xhtml", ".csv", ".tsv"], "text"),
}
"""Suffixes that a walk through a folder takes up. A file named outright is judged by its content alone."""

_EXPORT_PDF = "export it to PDF first"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NOT_READ: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive", "unpack it first"),
    (_OLE, "a file of Microsoft Office that holds no text, slides or sheets", _EXPORT_PDF),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
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
_TEXT_FORMATS = {
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
}
_MARKUP: dict[str, str] = {
    "mpd": "is a playlist; give the videos themselves; a playlist is never followed",
}
_OPENINGS = {
    "svg": ("<svg", "<!doctype svg"),
    "fb2": ("<fictionbook",),
    "mpd": ("<mpd",),
    "html": ("<!doctype html", "<html"),
}
_A_KIND: dict[MediaKind, str] = {
    "pdf": "a PDF",
    "image": "an image",
    "video": "a video",
    "document": "a document",
    "text": "text",
}
# by a file in the ZIP archive, by the type that it states, by a stream in the compound file
_ZIPPED = {b"ppt/presentation.xml": "pptx", b"word/document.xml": "docx", b"xl/workbook.xml": "xlsx", b".fdseq": "xps"}
_STATED = {
    b"application/epub+zip": "epub",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
}
_STREAMS = {"PowerPoint Document": "ppt", "WordDocument": "doc", "Workbook": "xls", "Book": "xls"}
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
        EncryptedMedia: It is an office document that needs a password.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  one call also for odd paths
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableMedia(f"{path}: is a folder, expected a file; list its files with find_media")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise UnsupportedMedia(f"{path}: is a pipe, socket or device, expected a file")
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(max(0, status.st_size - HEAD_BYTES))
            tail = file.read(HEAD_BYTES) if head.startswith((b"PK\x03\x04", _OLE)) else b""
    except FileNotFoundError:
        raise UnreadableMedia(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise UnreadableMedia(f"{path}: may not be read; check its permissions") from None
    except (ValueError, OSError) as error:  # a NUL in the path, a broken disk, a symlink loop
        if isinstance(error, MediaError):
            raise
        raise UnreadableMedia(f"{path}: cannot be opened ({error}); check the path and the disk") from error
    if not head:
        raise UnreadableMedia(f"{path}: is empty (0 bytes); restore it or leave it out")
    if document := _document_format(path, head, tail):
        return Sniffed("document", document, status.st_size)
    kind, kind_format = _judge(path, head)
    return Sniffed(kind, kind_format, status.st_size)


def _judge(path: str | os.PathLike[str], head: bytes) -> tuple[MediaKind, str]:
    suffix = Path(path).suffix.lower()
    if _is_pdf(head, suffix):
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
        return _judge_text(path, decode(head).text.lstrip("\ufeff \t\r\n"), suffix)
    raise UnsupportedMedia(
        f"{path}: is of no known kind (it starts with {head[:8].hex(' ')}); "
        "expected a PDF, an image, a video, or plain text"
    )


def _judge_text(path: str | os.PathLike[str], text: str, suffix: str) -> tuple[MediaKind, str]:
    if mislabelled := _mislabelled(text, suffix):
        raise UnreadableMedia(f"{path}: {mislabelled}")
    markup = _markup(text)
    if markup in _MARKUP:
        raise UnsupportedMedia(f"{path}: {_MARKUP[markup]}")
    if markup in ("svg", "fb2") and SUPPORTED.get(suffix) != "text":  # a Markdown file may begin with a drawing
        return "document", markup
    return "text", "html" if markup == "html" else _TEXT_FORMATS.get(suffix, "text")


def _is_pdf(head: bytes, suffix: str) -> bool:
    """Mail gateways, printers and failed downloads put lines before a PDF; a text may speak of PDF, too."""
    found = re.search(rb"%PDF-\d", head)
    if found is None:
        return False
    return found.start() == 0 or not (SUPPORTED.get(suffix) == "text" and looks_like_text(head))


def _mislabelled(text: str, suffix: str) -> str:
    """What to say of text under the name of a PDF, an image or a video: mostly what a server sent in its place."""
    named, markup = SUPPORTED.get(suffix), _markup(text)
    is_drawing = markup in ("svg", "fb2")
    # TypeScript has the suffix of transport streams; what a playlist is is said elsewhere
    if named in (None, "text") or suffix in (".ts", ".mts") or markup == "mpd":
        return ""
    if is_drawing and named == "document":
        return ""
    holds = {"html": "a web page", "xml": "XML", "json": "JSON", "svg": "an SVG drawing", "fb2": "an e-book"}.get(
        markup, "text"
    )
    begins = "".join(char if char.isprintable() else " " for char in text[:40]).strip()
    again = "a server may have sent it in the place of the file, so fetch it again"
    return f'is named {suffix} and holds {holds}, not {_A_KIND[named]} (it begins "{begins}"); {again}'


def _markup(text: str) -> str:
    """`html`, `svg`, `mpd`, `xml` or `json` where a text begins as one, else nothing."""
    start = text[:2000].lower()
    if start.startswith(("{", "[")):
        return "json"
    is_xml = start.startswith("<?xml")
    for name, openings in _OPENINGS.items():
        if start.startswith(openings) or (is_xml and any(each in start for each in openings)):
            return name
    return "xml" if is_xml else ""


def _document_format(path: str | os.PathLike[str], head: bytes, tail: bytes) -> str | None:
    """The format of an office document or a book, by what is in it; its directory stands in the head or the tail."""
    suffix = Path(path).suffix.lower()
    found: str | None = None
    is_locked = False
    if head.startswith(b"{\\rtf"):
        found = "rtf"
    elif head[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        found = "mobi"
    elif head.startswith(b"PK\x03\x04") and head[30:38] == b"mimetype":
        found = next((name for stated, name in _STATED.items() if head[38 : 38 + 80].startswith(stated)), None)
        is_locked = found in ("odp", "odt", "ods") and b"encryption-data" in head + tail
    elif head.startswith(b"PK\x03\x04"):
        inside = next((name for part, name in _ZIPPED.items() if part in head or part in tail), None)
        found = "cbz" if suffix == ".cbz" else inside
    elif head.startswith(_OLE):
        streams = head + tail
        is_locked = "EncryptedPackage".encode("utf-16-le") in streams
        found = next((name for stream, name in _STREAMS.items() if stream.encode("utf-16-le") in streams), None)
        # in a large file the directory may stand in the middle
        found = found or {".doc": "doc", ".ppt": "ppt", ".pps": "ppt", ".xls": "xls"}.get(suffix)
    if is_locked:
        raise EncryptedMedia(f"{path}: needs a password; save it without one, or export it to PDF")
    return found


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
            return "heic"
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
