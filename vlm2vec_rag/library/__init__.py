"""A collection with the model that built it: open, index, search, ask, reindex, remove. Every face stands on this.

>>> import vlm2vec_rag as vr
>>> with vr.open("my.vlm2vec", model="nano") as library:
...     library.index("reports/")
...     for hit in library.search("revenue by region", limit=3):
...         print(hit.place, hit.snippet())
"""

from vlm2vec_rag.library.indexing import Failure, IndexCallback, IndexReport
from vlm2vec_rag.library.library import Library
from vlm2vec_rag.library.model import WORDS_ONLY, ModelName
from vlm2vec_rag.library.opening import open_library
from vlm2vec_rag.library.opening import open_library as open  # noqa: A004  as in PIL.Image.open

__all__ = ["WORDS_ONLY", "Failure", "IndexCallback", "IndexReport", "Library", "ModelName", "open", "open_library"]
