"""The words of a question as agents and people really give them: empty, or the path of a file.

A string is always words, and none of them ends a conversation: a model that calls a retriever as a tool asks for file
names and for nothing at all, and an error would end its agent. Nothing here looks at the disk: a question may come from
anyone, and must not be able to find out which files exist.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

logger = logging.getLogger(__name__)

_SUFFIXES = (
    "apng avif bmp gif heic heif jfif jpe jpeg jpg png svg tif tiff webp "
    "avi flv m4v mkv mov mp4 mpeg mpg ogv ts webm wmv "
    "pdf"
)
_ROOTED = re.compile(rf"(/|~/|\.\.?[\\/]|[a-z]:[\\/]|\\\\).*\.({'|'.join(_SUFFIXES.split())})", re.IGNORECASE)
_ADDRESS = re.compile(r"(https?|ftp|file|s3|gs|data):\S+", re.IGNORECASE)


def question(words: object) -> str:
    """The words of a question, unchanged; blank for an empty one.

    Where the whole of it is a full path to an image, video or PDF, or an address, it is searched as words all the same,
    and the log says so: whoever wrote that in a program may have meant the file.

    Raises:
        InvalidInput: It is no string.
    """
    if not isinstance(words, str):
        raise InvalidInput(f"the question is a {type(words).__name__}; expected words in a str")
    stripped = words.strip()
    if any(pattern.fullmatch(stripped) for pattern in (_ROOTED, _ADDRESS)):
        logger.warning(
            "the question %r is a path or an address; it is searched as words and never opened. To ask with the image "
            "or video itself give it as such (image= or clip=); to find a file by its name filter by its source",
            stripped[:200],
        )
    return words


def blank_vector(dim: int) -> np.ndarray:
    """(D,) float32, unit length: the vector of an empty question, the same for every model, all numbers equal.

    An interface that must give a vector gives this one: no store refuses it, as many refuse zeros, and it is near
    nothing in particular. A store of ours answers it with nothing.
    """
    import numpy as np

    return np.full(dim, dim**-0.5, dtype=np.float32)


def is_blank_vector(vector: ArrayLike) -> bool:
    """Whether a vector is that of an empty question, also where a framework averaged it or sent it through JSON."""
    import numpy as np

    given = np.asarray(vector, dtype=np.float32)
    return given.ndim == 1 and given.size > 1 and bool(np.allclose(given, blank_vector(given.size), rtol=0, atol=1e-6))
