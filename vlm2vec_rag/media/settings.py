"""How files become items, what a file may cost, and what is known of a file before it is read."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias, get_args

from vlm2vec_rag.errors import InvalidInput, MissingExtra
from vlm2vec_rag.pixels import MAX_PIXELS, MIN_PIXELS

PdfEngine: TypeAlias = Literal["pymupdf", "pypdfium2"]
VideoReader: TypeAlias = Literal["pyav", "decord"]
Ocr: TypeAlias = Literal["off", "auto", "all"]
MediaKind: TypeAlias = Literal["pdf", "image", "video", "text", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """How files become items. All but the passwords change vectors, so a collection records and keeps them.

    Raises:
        InvalidInput: A value makes no sense.
    """

    max_pixels: int = MAX_PIXELS  # of a page, an image, or each frame of a clip
    frames: int = 8  # of a clip
    window_s: float = 30.0  # a longer video becomes several clips
    overlap_s: float = 5.0  # of two clips that follow each other
    pdf_engine: PdfEngine | None = None  # tried first; None: pymupdf where it is installed, else pypdfium2
    video_reader: VideoReader = "pyav"
    supersample: float = 1.0  # pages are rendered so many times larger, then reduced: 1.5 is 150 dpi for A4
    text_chars: int = 2000  # longest passage of a text file
    subtitle_language: str | None = None  # of the track to prefer, such as "de"; None: that of the user's locale
    # read words in pixels while indexing, which takes seconds for each: "auto" on pages without a usable text layer,
    # "all" in images and frames as well; None: auto where the extra is installed, else off
    ocr: Ocr | None = None
    passwords: tuple[str, ...] = field(default=(), repr=False)  # tried in turn on encrypted PDF files

    def __post_init__(self) -> None:
        _check("max_pixels", self.max_pixels, self.max_pixels >= MIN_PIXELS, f"at least {MIN_PIXELS} (4 tokens)")
        _check("frames", self.frames, self.frames >= 1, "at least 1")
        _check("window_s", self.window_s, 0 < self.window_s < math.inf, "more than 0 seconds")
        _check("overlap_s", self.overlap_s, 0 <= self.overlap_s < self.window_s, "0 or more, and less than window_s")
        _check("pdf_engine", self.pdf_engine, self.pdf_engine in (None, *get_args(PdfEngine)), "pymupdf or pypdfium2")
        _check("video_reader", self.video_reader, self.video_reader in get_args(VideoReader), "pyav or decord")
        _check("supersample", self.supersample, 1 <= self.supersample <= 4, "1 to 4")
        _check("text_chars", self.text_chars, self.text_chars >= 100, "at least 100")
        _check("ocr", self.ocr, self.ocr in (None, *get_args(Ocr)), "off, auto or all")
        # one password alone, or a list as JSON brings it
        passwords = (self.passwords,) if isinstance(self.passwords, str) else tuple(self.passwords)
        object.__setattr__(self, "passwords", passwords)

    def signature(self) -> dict[str, Any]:
        """What vectors depend on, as JSON values, with the PDF engine that is tried first: for a collection to record.

        Raises:
            MissingExtra: The engine or reader asked for is not installed.
        """
        settled = self.settled()
        # what was added later is recorded only where it is used, so that older collections keep their signature
        added_later = {name for name in ("ocr", "subtitle_language") if getattr(settled, name) in (None, "off")}
        left_out = {"passwords", *added_later}
        return {each.name: getattr(settled, each.name) for each in fields(self) if each.name not in left_out}

    @classmethod
    def from_signature(cls, recorded: Mapping[str, Any], base: MediaSettings | None = None) -> MediaSettings:
        """The settings that gave this signature; what it does not hold (passwords) comes from `base`."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in recorded.items() if name in known}
        ocr = values.get("ocr", "off")
        values["ocr"] = "all" if ocr is True else ocr  # as collections have it that were made before there was "auto"
        return replace(base or cls(), **values)

    def keeping(self, recorded: Mapping[str, Any]) -> MediaSettings:
        """The same settings, with what is left to choice here taken from a signature. Any PDF engine will do."""
        kept = MediaSettings.from_signature(recorded)
        left_open = {name: getattr(kept, name) for name in ("ocr", "subtitle_language") if getattr(self, name) is None}
        return replace(self, **left_open, pdf_engine=kept.pdf_engine)

    def settled(self) -> MediaSettings:
        """The same settings, with what is None chosen by what is installed.

        The PDF engine is a preference: where it is not installed, or cannot read a file, the other one does. So is
        "auto" for reading words in pixels.

        Raises:
            MissingExtra: The video reader, or reading words in all pixels, is asked for and not installed.
        """
        if self.video_reader == "decord" and importlib.util.find_spec("decord") is None:
            raise MissingExtra("decord is not installed; run: pip install 'vlm2vec-rag[decord]', or read with pyav")
        has_ocr = importlib.util.find_spec("rapidocr") is not None
        if self.ocr == "all" and not has_ocr:
            raise MissingExtra("rapidocr is not installed; run: pip install 'vlm2vec-rag[ocr]'")
        return replace(
            self,
            pdf_engine=self.pdf_engine or ("pymupdf" if has_pymupdf() else "pypdfium2"),
            ocr="off" if not has_ocr else self.ocr or "auto",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What a file may cost before it is refused. They hold for one file at a time.

    Memory is limited on Linux only: macOS does not enforce it and Windows has no such limit. Time is limited
    everywhere, by ending the process that reads.

    Raises:
        InvalidInput: A value makes no sense.
    """

    file_bytes: int = 20 * 2**30
    text_bytes: int = 20 * 2**20  # of a text or subtitle file, which is held in memory
    pages: int = 5_000
    pixels: int = 200_000_000  # of a source image or frame, or of an exported page: 200 megapixel cameras pass
    page_chars: int = 200_000  # of a page's text layer; what comes after is left out
    duration_s: float = 12 * 3600.0
    clips: int = 5_000
    memory_bytes: int = 4 * 2**30  # address space of the reading process
    seconds_per_item: float = 30.0
    seconds_per_clip: float = 120.0  # long keyframe gaps at 4K; also the scan of a video before its first clip
    seconds_per_conversion: float = 300.0  # of an office document or an e-book to PDF
    seconds_per_file: float = 3600.0  # of reading, not of what is done with the items meanwhile

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            _check(each.name, value, 0 < value < math.inf, "more than 0")
        least = 512 * 2**20  # below it the interpreter and the libraries themselves may not fit
        _check("memory_bytes", self.memory_bytes, self.memory_bytes >= least, f"at least {least} (512 MiB)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What a file is and what it holds; at most one frame was decoded to find out."""

    kind: MediaKind
    format: str  # as its content says: "pdf", "png", "mp4", "markdown"
    items: int  # pages, images, clips or passages
    pages: int | None = None
    duration_s: float | None = None
    width: int | None = None  # px of an image or frame as shown: turned upright, pixels made square
    height: int | None = None


def has_pymupdf() -> bool:
    return importlib.util.find_spec("pymupdf") is not None


def _check(name: str, value: object, is_right: bool, expected: str) -> None:
    if not is_right:
        raise InvalidInput(f"{name} is {value!r}; expected {expected}")
