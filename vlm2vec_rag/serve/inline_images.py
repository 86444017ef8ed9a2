"""Images that come inside a request. They are opened in the guarded process, as files are, and none is ever fetched."""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.serve.jobs import shown_reason

if TYPE_CHECKING:
    from vlm2vec_rag.media import MediaReader


def read_image(given: str, reader: MediaReader) -> Any:
    """An image from a data: URI or from base64.

    Raises:
        InvalidInput: It is an address, no base64, or no image that can be read.
    """
    if given.partition(":")[0].lower() in ("http", "https", "file", "ftp"):
        raise InvalidInput("an address is not fetched; send the image itself as a data: URI or in base64")
    data = given
    if given.startswith("data:"):
        kind, comma, data = given.partition(",")
        if not comma or not kind.endswith(";base64"):
            raise InvalidInput("the data: URI is not in base64; expected data:image/png;base64,…")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("the image is no base64; expected data:image/png;base64,…") from error
    with tempfile.TemporaryDirectory(prefix="vlm2vec-image-") as folder:
        path = Path(folder) / "image"
        path.write_bytes(content)
        try:
            return reader.image(path).image
        except VlmRagError as error:
            raise InvalidInput(f"the image cannot be read: {shown_reason(str(error))}") from error
