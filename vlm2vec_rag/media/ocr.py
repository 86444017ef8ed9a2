"""Words that stand in pixels only: on scanned pages, in images and in frames (`pip install 'vlm2vec-rag[ocr]'`).

RapidOCR's wheel carries its models, so nothing is downloaded. They read Latin and Chinese script. Pages are
read at the size that the encoder sees; twice the pixels gained one percent of the words for twice the time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.extras import require
from vlm2vec_rag.hyphens import joined
from vlm2vec_rag.items import Clip, Image, Item, Page
from vlm2vec_rag.media.decode import clean
from vlm2vec_rag.media.settings import Ocr

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

logger = logging.getLogger(__name__)

FEW_CHARS = 16  # a page whose text layer holds fewer is taken for a scan; a page number alone is no text layer
# two frames are taken to show the same words where no cell of a 64 x 64 grid differs by more than so many grey levels;
# the mean over the frame would miss a changed word on a slide
SAME_FRAME = 32
PATIENCE = 4  # times the usual limit on time: a dense page takes 4 s on one core, against 0.01 s to render


def needs_words(item: Item, mode: Ocr | None) -> bool:
    """Whether the words in an item's pixels are to be read: of pages without a word, or of all that has few or none."""
    match item:
        case Page():
            few = {"auto": 1, "all": FEW_CHARS}.get(mode or "off", 0)
            return len(item.text.strip()) < few
        case Image() | Clip():
            return mode == "all"
    return False


class WordReader:
    """Adds words to items. The models are loaded with the first item that needs them (2.5 s, 0.3 GB).

    Raises:
        MissingExtra: rapidocr is not installed.
    """

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._engine: Any = None

    def added(self, item: Item) -> Item:
        """The item with the words in its pixels behind those it has; as it is where there are none to add."""
        match item:
            case Page() | Image():
                lines = self.lines(item.image)
            case Clip():
                lines = self._lines_of_frames(item.frames)
            case _:
                return item
        lines = [line for line in lines if line not in item.text]
        if not lines:
            return item
        text = "\n".join([item.text, *lines] if item.text.strip() else lines)[: self._max_chars]
        return replace(item, text=text, metadata={**item.metadata, "ocr": True})

    def lines(self, image: PILImage) -> list[str]:
        """The lines of text in an image, from top to bottom."""
        import numpy as np

        if len(image.convert("RGB").getcolors(1) or ()) == 1:
            return []  # an empty page
        found = self._loaded()(np.asarray(image.convert("RGB"))[:, :, ::-1], use_cls=False)  # it expects BGR
        lines = [line for text in found.txts or () if (line := " ".join(clean(text).split()))]
        return joined("\n".join(lines)).split("\n") if lines else []

    def _lines_of_frames(self, frames: Sequence[PILImage]) -> list[str]:
        """The lines of all frames, each once; a frame that looks like the one before it is not read again."""
        from PIL import ImageChops

        lines: dict[str, None] = {}
        last: PILImage | None = None
        for frame in frames:
            small = frame.convert("L").resize((64, 64))
            if last is None or max(ImageChops.difference(small, last).tobytes()) > SAME_FRAME:
                lines |= dict.fromkeys(self.lines(frame))
                last = small
        return list(lines)

    def _loaded(self) -> Any:
        if self._engine is None:
            engine = require("rapidocr", "ocr").RapidOCR
            # one thread: the process that reads has a limit on its address space, and runs beside the encoder
            threads = {f"EngineConfig.onnxruntime.{name}_op_num_threads": 1 for name in ("intra", "inter")}
            self._engine = engine(params={**threads, "Global.log_level": "critical", "Global.use_cls": False})
        return self._engine
