"""`VLM2VecEmbedding`: texts, images, videos, nodes and questions to vectors, as a LlamaIndex component."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr, field_serializer, field_validator
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.schema import BaseNode, ImageType, QueryBundle
from llama_index.core.utils import get_tqdm_iterable, iter_batch
from llama_index_instrumentation import get_dispatcher

from llama_index_vlm2vec.digests import prompts_digest, weights_digest
from llama_index_vlm2vec.items import ClipInput, ImageInput, items_of, open_media, read_clip, read_frames, read_image
from llama_index_vlm2vec.registry import register
from llama_index_vlm2vec.stamps import stamp
from vlm2vec_rag.encoder import DEFAULT_MODEL, Encoder
from vlm2vec_rag.encoder.names import FRAMES
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Item, Kind, Query, Text
from vlm2vec_rag.media.settings import MediaSettings
from vlm2vec_rag.pixels import MAX_PIXELS
from vlm2vec_rag.words import blank_vector, question

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.fingerprint import Fingerprint
    from vlm2vec_rag.library import Library

dispatcher = get_dispatcher(__name__)
register()

_ADDED = ("weights", "prompts")  # to_dict tells them, and they are no settings


class VLM2VecEmbedding(MultiModalEmbedding):
    """Embeds text, images and videos into one space; questions and what they look for have their own instructions.

    The model is loaded at the first use, and shared by all instances in this process that ask for the same one.
    Instances can be pickled; a copy loads the model where it is used. Safe to use from several threads.

    >>> embed_model = VLM2VecEmbedding(device="cuda")
    >>> embed_model.get_query_embedding("a red car"), embed_model.get_image_embedding("cars/red.png")
    """

    model_name: str = Field(default=DEFAULT_MODEL, description="Hub id or folder of the model.")
    adapter: str | None = Field(default=None, description="A LoRA or DoRA adapter to fold into the model.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of the model on the hub.")
    device: str | None = Field(default=None, description="cuda, cuda:1, mps or cpu; None takes the best there is.")
    dtype: str | None = Field(default=None, description="float32, bfloat16 or float16; None suits the device.")
    max_pixels: int = Field(default=MAX_PIXELS, description="Budget of one image or frame.")
    frames: int = Field(default=FRAMES, description="Frames of a clip.")
    target: Kind | None = Field(default=None, description="The one kind that questions look for; None for any.")
    query_instruction: str | None = Field(default=None, description="An instruction for questions of one's own.")
    media: MediaSettings = Field(
        default_factory=MediaSettings, description="How files are read; its max_pixels and frames are those above."
    )

    _encoder: Encoder | None = PrivateAttr(default=None)
    _is_given: bool = PrivateAttr(default=False)
    _library: Library | None = PrivateAttr(default=None)  # whose encoder this shares

    def __init__(self, model_name: str | Path = DEFAULT_MODEL, **settings: Any) -> None:
        """Name a model; it is loaded when it is first used. The settings are the fields of this class.

        Raises:
            InvalidInput: There is no such setting; or a cache of embeddings is given, which would know a vector by its
                text alone, and here a question and a text with the same words have different ones.
        """
        if unknown := sorted(settings.keys() - type(self).model_fields.keys()):
            known = ", ".join(sorted(type(self).model_fields))
            raise InvalidInput(f"no setting {', '.join(map(repr, unknown))}; expected some of {known}")
        if settings.get("embeddings_cache") is not None:
            raise InvalidInput(
                "embeddings_cache is not supported: it tells vectors apart by their text only, and a question and a "
                "text of the same words have different ones here; use an IngestionPipeline's own cache instead"
            )
        super().__init__(model_name=str(model_name), **settings)

    @classmethod
    def class_name(cls) -> str:
        return "VLM2VecEmbedding"

    @classmethod
    def from_encoder(cls, encoder: Encoder, **settings: Any) -> VLM2VecEmbedding:
        """An embedding around a loaded encoder. It stays in this process: it cannot be pickled."""
        settings = {"max_pixels": encoder.max_pixels, "frames": encoder.frames, **settings}
        made = cls(encoder.fingerprint.model, **settings)
        made._encoder, made._is_given = encoder, True
        return made

    @classmethod
    def for_library(cls, library: Library, **settings: Any) -> VLM2VecEmbedding:
        """The embedding that a library was built with.

        Raises:
            InvalidInput: It holds words only.
        """
        built_with = library.fingerprint
        if not built_with.dim:
            raise InvalidInput(f"the collection {library.name!r} holds words only and was built without a model")
        if library.model is None:  # it was given a loaded encoder
            encoder = library.encoder
            assert encoder is not None  # noqa: S101  what has vectors and no name has an encoder
            return cls.from_encoder(encoder, **settings)
        named = library.model
        told = {"adapter": named.adapter, "revision": named.revision, "media": library.media_settings}
        made = cls(
            named.model, **{**told, "max_pixels": built_with.max_pixels, "frames": built_with.frames, **settings}
        )
        made._library = library
        return made

    def as_settings(self) -> dict[str, Any]:
        """What `vlm2vec_rag.open` takes for the same model."""
        if self._is_given:
            return {"model": self.encoder}
        names = ("adapter", "revision", "device", "dtype", "max_pixels", "frames")
        media = None if self.media == MediaSettings() else self.media_settings
        return {"model": self.model_name, "media": media, **{name: getattr(self, name) for name in names}}

    @field_validator("adapter", mode="before")
    @classmethod
    def _path_to_str(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("media", mode="before")
    @classmethod
    def _settings_of(cls, value: Any) -> Any:
        return MediaSettings.from_signature(value) if isinstance(value, dict) else value

    @field_serializer("media")
    def _signature_of(self, media: MediaSettings) -> dict[str, Any]:
        # without the password, and with the PDF engine that is really used
        return self.media_settings.signature()

    @property
    def encoder(self) -> Encoder:
        """The encoder behind this; loads it at the first call.

        Raises:
            ModelNotFound: The model or adapter cannot be reached.
            InvalidInput: A setting makes no sense.
        """
        if self._encoder is None and self._library is not None:
            self._encoder = self._library.encoder
        if self._encoder is None:
            from vlm2vec_rag.encoder.shared import shared_encoder

            self._encoder = shared_encoder(
                model=self.model_name,
                adapter=self.adapter,
                device=self.device,
                dtype=self.dtype,
                revision=self.revision,
                max_pixels=self.max_pixels,
                frames=self.frames,
                batch_tokens=None,
            )
        return self._encoder

    @property
    def fingerprint(self) -> Fingerprint:
        """What a collection of this embedding's vectors is opened with; loads the model."""
        return self.encoder.fingerprint

    def encode_question(self, query: Query, target: Kind | None = None) -> Embedding:
        """The vector of a question that is read already, (D,) unit length; told to instrumentation and callbacks."""
        label = query.text or ("an image" if query.image is not None else "a clip")
        with self._announced([label]) as embedded:
            return embedded([self._encode_query(query, target)])[0]

    def check_fits(self, collection: Collection) -> None:
        """See that a collection was built with this embedding; loads the model.

        Raises:
            FingerprintMismatch: It was built with another one; both are named.
        """
        from vlm2vec_rag.retrieval import Retriever

        Retriever(collection, self.encoder)

    @property
    def media_settings(self) -> MediaSettings:
        """How files are read for this embedding: give them to a `VLM2VecReader` that loads for it."""
        from dataclasses import replace

        return replace(self.media, max_pixels=self.max_pixels, frames=self.frames)

    # questions

    def _get_query_embedding(self, query: str) -> Embedding:
        # an agent asks for file names and for nothing, and an error would end it; a VLM2VecVectorStore knows the vector
        # of an empty question and answers it with nothing
        words = question(query)
        return self._encode_query(Query(text=words)) if words.strip() else self._blank()

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def query_bundle(
        self, text: str = "", image: ImageInput | None = None, clip: ClipInput | None = None
    ) -> QueryBundle:
        """A question of words, of an image or video, or of words about one, for any retriever or query engine.

        Args:
            text: The words; a chat model behind the retriever reads only them.
            image: A path, bytes in a BytesIO, or a PIL image.
            clip: The path of a video, seen as one clip from its start to its end; or frames.

        Raises:
            InvalidInput: Both an image and a clip are given.
            MediaError: The file cannot be read; the message names it.
        """
        return QueryBundle(query_str=text, embedding=self.get_question_embedding(text, image, clip))

    async def aquery_bundle(
        self, text: str = "", image: ImageInput | None = None, clip: ClipInput | None = None
    ) -> QueryBundle:
        """`query_bundle` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.query_bundle, text, image, clip)

    def get_question_embedding(
        self,
        text: str = "",
        image: ImageInput | None = None,
        clip: ClipInput | None = None,
        *,
        target: Kind | None = None,
    ) -> Embedding:
        """The vector of a question, (D,) unit length; `target` is the one kind it looks for. See `query_bundle`.

        An empty question, which an agent may ask, has a vector near nothing in particular: see `vlm2vec_rag.words`.
        """
        if image is not None and clip is not None:
            raise InvalidInput("both image and clip are given; the model takes one of them")
        if not question(text).strip() and image is None and clip is None:
            return self._blank()
        with open_media(self.media_settings) as media:
            shown = None if image is None else read_image(image, media())
            frames = () if clip is None else read_frames(clip, media)
        query = Query(text=text, image=None if shown is None else shown.image, frames=frames)
        return self.encode_question(query, target)

    def _blank(self) -> Embedding:
        return cast(Embedding, blank_vector(self.encoder.dim).tolist())

    def _encode_query(self, query: Query, target: Kind | None = None) -> Embedding:
        from dataclasses import replace

        query = replace(query, instruction=self.query_instruction)
        vectors = self.encoder.encode_queries([query], target=target or self.target)
        return cast(Embedding, vectors[0].tolist())

    # texts

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._encode_items([Text(text=text) for text in texts])

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    # images; LlamaIndex announces them to callbacks but not to its instrumentation, so the public four do it here

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return self._get_image_embeddings([img_file_path])[0]

    def _get_image_embeddings(self, img_file_paths: Sequence[ImageType]) -> list[Embedding]:
        with open_media(self.media_settings) as media:
            return self._encode_items([read_image(image, media()) for image in img_file_paths])

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)

    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_image_embeddings, img_file_paths)

    def get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        """Embed an image file, or bytes in a BytesIO, as what is searched: (D,), unit length."""
        return self.get_image_embedding_batch([img_file_path])[0]

    def get_image_embedding_batch(
        self, img_file_paths: Sequence[ImageType], show_progress: bool = False
    ) -> list[Embedding]:
        """Embed image files, batch by batch; the first that cannot be read is named in the error."""
        return self._in_batches(img_file_paths, self._get_image_embeddings, show_progress)

    async def aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        """`get_image_embedding` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.get_image_embedding, img_file_path)

    async def aget_image_embedding_batch(
        self, img_file_paths: Sequence[ImageType], show_progress: bool = False
    ) -> list[Embedding]:
        """`get_image_embedding_batch` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.get_image_embedding_batch, img_file_paths, show_progress)

    # videos; LlamaIndex has no interface for them, these names are the ones its Voyage integration uses

    def get_video_embedding(self, video_path: ClipInput) -> Embedding:
        """Embed a video file as one clip from its start to its end: (D,), unit length.

        Meant for short ones. `VLM2VecReader` cuts long ones into clips, which find moments.
        """
        return self.get_video_embeddings([video_path])[0]

    def get_video_embeddings(self, video_paths: Sequence[ClipInput], show_progress: bool = False) -> list[Embedding]:
        """Embed video files, batch by batch; the first that cannot be read is named in the error."""

        def embed(batch: Sequence[ClipInput]) -> list[Embedding]:
            with open_media(self.media_settings) as media:
                return self._encode_items([read_clip(video, media()) for video in batch])

        return self._in_batches(video_paths, embed, show_progress)

    async def aget_video_embedding(self, video_path: ClipInput) -> Embedding:
        """`get_video_embedding` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.get_video_embedding, video_path)

    async def aget_video_embeddings(
        self, video_paths: Sequence[ClipInput], show_progress: bool = False
    ) -> list[Embedding]:
        """`get_video_embeddings` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.get_video_embeddings, video_paths, show_progress)

    # nodes, as the step of an ingestion pipeline

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """Embed nodes by what they show: pages, images and clips by their pixels, texts by their words.

        Each is stamped: a `VLM2VecVectorStore` takes such an embedding as it is, and makes any other one anew.

        Returns:
            The same nodes with their embeddings; those that stand for a file's item are `MediaNode`s.

        Raises:
            EmptyInput: A node with neither pixels nor words; the message names it.
            MediaError: A file cannot be read; the message names it.
        """
        done: list[BaseNode] = []
        hashes: list[str] = []
        with open_media(self.media_settings) as media:

            def embed(batch: Sequence[BaseNode]) -> list[Embedding]:
                pairs = [items_of(node, media) for node in batch]
                done.extend(node for node, _ in pairs)
                hashes.extend(item.content_hash for _, item in pairs)
                return self._encode_items([item for _, item in pairs])

            embeddings = self._in_batches(nodes, embed, bool(kwargs.get("show_progress")))
        fingerprint = self.fingerprint if done else None
        for node, embedding, content_hash in zip(done, embeddings, hashes, strict=True):
            node.embedding = embedding
            if fingerprint is not None:
                stamp(node, content_hash, fingerprint)
        return done

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """`__call__` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.__call__, nodes, **kwargs)

    # inside

    def _encode_items(self, items: Sequence[Item]) -> list[Embedding]:
        return cast(list[Embedding], self.encoder.encode_items(items).tolist())

    def _in_batches(
        self, inputs: Sequence[Any], embed: Callable[[Sequence[Any]], list[Embedding]], show_progress: bool
    ) -> list[Embedding]:
        batches = list(iter_batch(inputs, self.embed_batch_size))
        embeddings: list[Embedding] = []
        for batch in get_tqdm_iterable(batches, show_progress, "Generating embeddings"):
            with self._announced([_label(each) for each in batch]) as embedded:
                embeddings += embedded(embed(batch))
        return embeddings

    @contextmanager
    def _announced(self, labels: list[str]) -> Iterator[Callable[[list[Embedding]], list[Embedding]]]:
        """Tell instrumentation and callbacks that embedding starts, and of the vectors handed to what this gives."""
        model = self.to_payload()
        dispatcher.event(EmbeddingStartEvent(model_dict=model))
        with self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: model}) as event:

            def embedded(vectors: list[Embedding]) -> list[Embedding]:
                event.on_end(payload={EventPayload.CHUNKS: labels, EventPayload.EMBEDDINGS: vectors})
                dispatcher.event(EmbeddingEndEvent(chunks=labels, embeddings=vectors))
                return vectors

            yield embedded

    # to other processes and to caches

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """The settings, and digests of what else a vector depends on, without loading the model."""
        return super().to_dict(**kwargs) | {
            "weights": weights_digest(self.model_name, self.adapter),
            "prompts": prompts_digest(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> VLM2VecEmbedding:
        """An embedding of the settings that `to_dict` gave."""
        return super().from_dict({name: value for name, value in data.items() if name not in _ADDED}, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "embeddings_cache" and value is not None:
            raise InvalidInput("embeddings_cache is not supported; see VLM2VecEmbedding")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        # LlamaIndex would try to pickle the model, warn that it cannot, and go on without it
        if self._is_given:
            raise InvalidInput(
                "this VLM2VecEmbedding holds an encoder it was given, which stays in its process; name the model "
                "instead: VLM2VecEmbedding(model_name=..., adapter=...)"
            )
        fields = {name: value for name, value in self.__dict__.items() if name not in _OF_THIS_PROCESS}
        return {"__dict__": fields, "__pydantic_private__": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["__dict__"])  # type: ignore[misc]

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> VLM2VecEmbedding:
        return self.model_copy()


_OF_THIS_PROCESS = ("callback_manager", "rate_limiter")


def _label(given: object) -> str:
    return given.node_id if isinstance(given, BaseNode) else str(given)
