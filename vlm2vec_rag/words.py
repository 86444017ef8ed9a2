"""The words of a question, checked before they are embedded: not empty, and no path or address by mistake.

A string is always words. Nothing here looks at the disk: a question may come from anyone, and must not be able to find
out which files exist.
"""

from __future__ import annotations

import re

from vlm2vec_rag.errors import EmptyInput, InvalidInput

_SUFFIXES = (
    "apng avif bmp gif heic heif jfif jpe jpeg jpg png svg tif tiff webp "
    "avi flv m4v mkv mov mp4 mpeg mpg ogv ts webm wmv "
    "pdf"
)
_ROOTED = re.compile(rf"(/|~/|\.\.?[\\/]|[a-z]:[\\/]|\\\\).*\.({'|'.join(_SUFFIXES.split())})", re.IGNORECASE)
_ADDRESS = re.compile(r"(https?|ftp|file|s3|gs|data):\S+", re.IGNORECASE)


def question(words: object) -> str:
    """The words of a question, unchanged.

    Raises:
        EmptyInput: There are none.
        InvalidInput: It is no string, or the whole of it is a full path to an image, video or PDF, or an address:
            whoever embeds that means the file, and would get a vector of its letters. A file name alone is words.
    """
    if not isinstance(words, str):
        raise InvalidInput(f"the question is a {type(words).__name__}; expected words in a str")
    stripped = words.strip()
    if not stripped:
        raise EmptyInput("the question is empty; ask with words, an image or a clip")
    if any(pattern.fullmatch(stripped) for pattern in (_ROOTED, _ADDRESS)):
        raise InvalidInput(
            f"the question {stripped[:200]!r} is a path or an address; a string is searched as words and never opened. "
            "Ask with the image or video itself (image= or clip=), find a file by its name with a filter on its "
            "source, or write a sentence around the name to search for these letters"
        )
    return words
