"""`VLM2VecEmbeddings`: texts, images, videos and questions to vectors, as a LangChain component."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import Callbacks
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from langchain_vlm2vec.tracing import traced
from vlm2vec_rag.encoder import DEFAULT_MODEL, Encoder
from vlm2vec_rag.encoder.names import FRAMES
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Item, Kind, Query
from vlm2vec_rag.pixels import MAX_PIXELS
from vlm2vec_rag.words import blank_vector, question

if TYPE_CHECKING:
    from vlm2vec_rag.encoder.base import Vectors
    from vlm2vec_rag.library import Library
    from vlm2vec_rag.media import MediaReader


class VLM2VecEmbeddings(BaseModel, Embeddings):
    """LangChain embeddings of text, images and videos in one space.

    Setup:
        .. code-block:: bash

            pip install "vlm2vec-rag[langchain]"

    Instantiate:
        .. code-block:: python

            from langchain_vlm2vec import VLM2VecEmbeddings

            embeddings = VLM2VecEmbeddings(model="nano")  # in the package; VLM2Vec/VLM2Vec-V2.0 sees photographs too

    Embed:
        .. code-block:: python

            embeddings.embed_query("a red car")
            embeddings.embed_documents(["The car is red.", "The sea is blue."])
            embeddings.embed_image(["cars/red.png"])
            embeddings.embed_video(["cars/race.mp4"])

    Async:
        .. code-block:: python

            await embeddings.aembed_query("a red car")

    The model is loaded at the first use, and shared by all instances in this process that ask for the same one.
    Instances can be pickled; a copy loads the model where it is used. Safe to use from several threads.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=True)

    model: str | None = Field(default=None, description="Hub id or folder; None takes VLM2Vec-V2.0.")
    adapter: str | None = Field(default=None, description="A LoRA or DoRA adapter to fold into the model.")
    device: str | None = Field(default=None, description="cuda, cuda:1, mps or cpu; None takes the best there is.")
    dtype: str | None = Field(default=None, description="float32, bfloat16 or float16; None suits the device.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of the model on the hub.")
    max_pixels: int = Field(default=MAX_PIXELS, description="Budget of one image or frame.")
    frames: int = Field(default=FRAMES, description="Frames of a clip.")
    batch_tokens: int | None = Field(default=None, description="Tokens of one forward pass; None suits the device.")
    target: Kind | None = Field(default=None, description="The one kind that questions look for; None for any.")
    encoder: Encoder | None = Field(
        default=None, exclude=True, repr=False, description="A loaded encoder, in place of the settings of one."
    )
    callbacks: Callbacks = Field(default=None, exclude=True, repr=False, description="Told of every embedding.")

    _loaded: Encoder | None = PrivateAttr(default=None)
    _library: Any = PrivateAttr(default=None)  # whose encoder these share

    @field_validator("model", "adapter", mode="before")
    @classmethod
    def _path_to_str(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @classmethod
    def for_library(cls, library: Library, **settings: Any) -> VLM2VecEmbeddings:
        """The embeddings that a library was built with; they share its encoder.

        Raises:
            InvalidInput: It holds words only.
        """
        made_with = library.fingerprint
        if not made_with.dim:
            raise InvalidInput(f"the collection {library.name!r} holds words only and was built without a model")
        if library.model is None:  # it was given a loaded encoder
            return cls(encoder=library.encoder, **settings)
        name = library.model
        named = {"model": name.model, "adapter": name.adapter, "revision": name.revision}
        budget = {"max_pixels": made_with.max_pixels, "frames": made_with.frames}
        made = cls(**{**named, **budget, **settings})
        made._library = library
        return made

    def as_settings(self) -> dict[str, Any]:
        """What `vlm2vec_rag.open` takes for the same model."""
        if self.encoder is not None:
            return {"model": self.encoder}
        names = ("adapter", "revision", "device", "dtype", "max_pixels", "frames", "batch_tokens")
        return {"model": self.model or DEFAULT_MODEL, **{name: getattr(self, name) for name in names}}

    def load(self) -> Encoder:
        """The encoder behind this; loads it at the first call.

        Raises:
            ModelNotFound: The model or adapter cannot be reached.
            InvalidInput: A setting makes no sense.
        """
        if self.encoder is not None:
            return self.encoder
        if self._loaded is None and self._library is not None:
            self._loaded = self._library.encoder
        if self._loaded is None:
            from vlm2vec_rag.encoder.shared import shared_encoder

            self._loaded = shared_encoder(
                model=self.model,
                adapter=self.adapter,
                device=self.device,
                dtype=self.dtype,
                revision=self.revision,
                max_pixels=self.max_pixels,
                frames=self.frames,
                batch_tokens=self.batch_tokens,
            )
        return self._loaded

    # what LangChain asks for; its own aembed_documents and aembed_query run these in a thread

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts as what is searched: each (D,), unit length.

        Raises:
            EmptyInput: A text without a word.
            InvalidInput: A single text instead of a list.
        """
        if isinstance(texts, str):
            raise InvalidInput(f"texts is the single text {texts[:80]!r}; expected a list")
        vectors = self._run("embed_documents", {"texts": list(texts)}, lambda encoder: encoder.encode_items(texts))
        rows: list[list[float]] = vectors.tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Embed a question: (D,), unit length. It is always words, also where it is a path; nothing is opened.

        An empty one, which an agent may ask, has the same vector for every model, which is near nothing in particular;
        `VLM2VecVectorStore` answers it with nothing. See `vlm2vec_rag.words`.

        Raises:
            InvalidInput: The question is no string.
        """
        words = question(text)
        asked = self.encode_query(Query(text=words)) if words.strip() else blank_vector(self.load().dim)
        vector: list[float] = asked.tolist()
        return vector

    # images and videos

    def embed_image(self, uris: Sequence[str | Path]) -> list[list[float]]:
        """Embed image files as what is searched: each (D,), unit length.

        Args:
            uris: Paths or `file://` addresses. They are opened in a separate process, under limits.

        Raises:
            MediaError: A file is missing, broken, or no image; the message names it.
        """
        return self._embed_files("embed_image", uris, lambda reader, path: reader.image(path))

    def embed_video(self, uris: Sequence[str | Path]) -> list[list[float]]:
        """Embed video files, each as one clip from its start to its end: (D,), unit length.

        Meant for short ones. `VLM2VecVectorStore.add_videos` cuts long ones into clips, which find moments.

        Raises:
            MediaError: A file is missing, broken, or no video; the message names it.
        """
        from langchain_vlm2vec.loader import whole_video

        return self._embed_files("embed_video", uris, whole_video)

    async def aembed_image(self, uris: Sequence[str | Path]) -> list[list[float]]:
        """`embed_image` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.embed_image, uris)

    async def aembed_video(self, uris: Sequence[str | Path]) -> list[list[float]]:
        """`embed_video` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.embed_video, uris)

    # for the vector store, which has items and questions in memory

    def encode_items(self, items: Sequence[Item], *, callbacks: Callbacks = None) -> Vectors:
        """(B, D) float32, unit rows: the items of a file or texts, each read with the instruction for its kind."""
        names = [f"{item.source}#{item.fragment}".strip("#") or item.kind for item in items]
        return self._run("embed_items", {"items": names}, lambda encoder: encoder.encode_items(items), callbacks)

    def encode_query(self, query: Query, *, target: Kind | None = None, callbacks: Callbacks = None) -> Vectors:
        """(D,) float32, unit length: a question of words, an image, a clip, or words about one."""
        shown = {"image": query.image is not None, "frames": len(query.frames)}
        inputs = {"query": query.text, **{name: value for name, value in shown.items() if value}}
        target = target or self.target
        vectors = self._run("embed_query", inputs, lambda each: each.encode_queries([query], target=target), callbacks)
        vector: Vectors = vectors[0]
        return vector

    def _embed_files(
        self, name: str, uris: Sequence[str | Path], read: Callable[[MediaReader, str | Path], Item]
    ) -> list[list[float]]:
        from langchain_vlm2vec.loader import path_of
        from vlm2vec_rag.media import MediaReader, MediaSettings

        def encode(encoder: Encoder) -> Vectors:
            with MediaReader(MediaSettings(max_pixels=encoder.max_pixels, frames=encoder.frames)) as reader:
                return encoder.encode_items([read(reader, path_of(uri)) for uri in uris])

        if isinstance(uris, str | Path):
            raise InvalidInput(f"uris is the single value {str(uris)!r}; expected a list of paths")
        rows: list[list[float]] = self._run(name, {"uris": [str(uri) for uri in uris]}, encode).tolist()
        return rows

    def _run(
        self, name: str, inputs: dict[str, Any], encode: Callable[[Encoder], Vectors], callbacks: Callbacks = None
    ) -> Vectors:
        model = self.encoder.fingerprint.model if self.encoder is not None else self.model or DEFAULT_MODEL
        return traced(name, inputs, lambda: encode(self.load()), model=model, parent=callbacks, own=self.callbacks)

    # copies share the loaded model in this process, and load it anew in another one

    def __getstate__(self) -> dict[Any, Any]:
        if self.encoder is not None:
            raise InvalidInput(
                "VLM2VecEmbeddings(encoder=...) holds a loaded model and cannot be pickled; name the model instead: "
                "VLM2VecEmbeddings(model=..., adapter=...)"
            )
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {"_loaded": None, "_library": None}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> VLM2VecEmbeddings:
        return self.model_copy()
