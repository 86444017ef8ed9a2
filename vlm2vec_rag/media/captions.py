"""The words an image carries in its own file: a title and a caption, for the word side of a search.

Read from, the first that is filled winning: PNG text (`Title`, `Description`), EXIF `ImageDescription`, and XMP
(`dc:title`, `dc:description`), which between them hold what photographers, Lightroom and drawing programs write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from vlm2vec_rag.media.decode import clean

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_IMAGE_DESCRIPTION = 0x010E
_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True, slots=True)
class Caption:
    """What an image says of itself; both empty when it says nothing."""

    title: str = ""
    description: str = ""

    @property
    def text(self) -> str:
        """Title and description, each once."""
        both = dict.fromkeys((self.title, self.description))
        return "\n".join(part for part in both if part)


def caption_of(image: PILImage, max_chars: int) -> Caption:
    """The caption of a decoded image: PNG text may stand after the pixels, and is known only then.

    Broken metadata count as none: the pixels are what an image is read for.
    """
    xmp = _xmp(image)
    titles = (image.info.get("Title"), xmp.title)
    descriptions = (image.info.get("Description"), _exif_description(image), xmp.description)
    return Caption(_first(titles, max_chars), _first(descriptions, max_chars))


def _first(candidates: tuple[object, ...], max_chars: int) -> str:
    """The first that is text and not blank, without control characters."""
    texts = (clean(candidate).strip() for candidate in candidates if isinstance(candidate, str))
    return next((text[:max_chars] for text in texts if text), "")


def _exif_description(image: PILImage) -> str:
    value = image.getexif().get(_IMAGE_DESCRIPTION)
    if not isinstance(value, str):
        return ""
    try:
        # the standard says ASCII, programs write UTF-8, and Pillow reads Latin-1
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _xmp(image: PILImage) -> Caption:
    packet = image.info.get("xmp")
    if not isinstance(packet, bytes):
        return Caption()
    try:
        # in images XMP is UTF-8; read as text, no other encoding can carry a DOCTYPE past the check
        text = packet.decode()
        # entities, which let a few bytes grow to gigabytes, need a DOCTYPE, and XMP has none
        if "<!DOCTYPE" in text:
            return Caption()
        root = ElementTree.fromstring(text.strip("\0\ufeff \r\n\t"))  # noqa: S314  see above
    except (UnicodeDecodeError, ElementTree.ParseError):
        return Caption()
    return Caption(_alternative(root, "title"), _alternative(root, "description"))


def _alternative(root: ElementTree.Element, name: str) -> str:
    """The default of the languages a field is given in, else the first of them."""
    texts = {
        entry.get(_XML_LANG, ""): entry.text
        for field in root.iter(_DC + name)
        for entry in field.iter(_RDF + "li")
        if entry.text
    }
    return texts.get("x-default") or next(iter(texts.values()), "")
