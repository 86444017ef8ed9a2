"""Files to items: PDF pages, images, video clips and passages of text, read in a process that may be killed.

`MediaReader` is the way in; `find_media` lists what there is to read. Importing this opens and starts nothing.
"""

from vlm2vec_rag.media.pdf.base import Word
from vlm2vec_rag.media.reader import MediaReader
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import SUPPORTED
from vlm2vec_rag.media.version import FileVersion, file_version
from vlm2vec_rag.media.walk import PassedOver, find_media

__all__ = [
    "SUPPORTED",
    "FileVersion",
    "MediaInfo",
    "MediaLimits",
    "MediaReader",
    "MediaSettings",
    "PassedOver",
    "Word",
    "file_version",
    "find_media",
]
