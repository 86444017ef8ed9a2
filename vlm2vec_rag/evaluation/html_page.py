"""The HTML reports: templates to one self-contained file, light or dark as the reader's system is.

Everything that comes from outside (page text, questions, names of files) is escaped by Jinja2, for it is not to be
trusted: a page may say `<script>`.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.disk import replacing

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL.Image import Image as PILImage


@cache
def environment() -> Environment:
    """The templates beside this file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a template with its values, whole or not at all, and return the path.

    Args:
        path: Where to; folders that are missing are made.
        template: A file of `templates/`.
        values: What it shows.
    """
    document = environment().get_template(template).render(**values)
    with replacing(path) as part:
        part.write_text(document, encoding="utf-8")
    return path


def image_address(image: PILImage, *, width_px: int = 360) -> str:
    """An image as a `data:` address, reduced to what is shown."""
    small = image.convert("RGB")
    small.thumbnail((width_px, width_px * 2))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
