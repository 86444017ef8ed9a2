"""`Library`: a collection together with the model that built it and the reader of its files.

Every face stands on this: the command line, the server, LangChain and LlamaIndex join nothing by themselves.
"""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.collection import Filter, Found
from vlm2vec_rag.collection.filters import matching
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import CollectionError, InvalidInput, VlmRagError
from vlm2vec_rag.items import Hit, Hits, Query
from vlm2vec_rag.library.asking import ClipInput, FilterInput, ImageInput, build_query, check_source, to_filter
from vlm2vec_rag.library.indexing import IndexCallback, IndexReport, Paths, Prune, index, record_media, settle_media
from vlm2vec_rag.library.model import ModelName
from vlm2vec_rag.library.sight import check_sight
from vlm2vec_rag.library.writing import Writer
from vlm2vec_rag.notebook import card
from vlm2vec_rag.retrieval import Retriever, images_of

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.chat import Answer, Chat, ChatSettings
    from vlm2vec_rag.classify import Failed, Labelled
    from vlm2vec_rag.collection import Collection, CollectionInfo, Source
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.encoder.base import Sight
    from vlm2vec_rag.fingerprint import Fingerprint
    from vlm2vec_rag.highlights import Highlight
    from vlm2vec_rag.items import Kind
    from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
    from vlm2vec_rag.moments.search import Pool
    from vlm2vec_rag.thumbnails import Thumbnails


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a library is opened with, besides its collection."""

    place: str
    name: str = "default"
    model: ModelName | None = None  # None: words only, or an encoder is given
    load: Callable[[], Encoder] | None = None  # None: words only
    media: MediaSettings | None = None  # asked for; None keeps to what is recorded
    limits: MediaLimits | None = None
    thumbnails: Thumbnails | None = None
    reopen: Callable[..., Library] | None = None  # opens the same place, with another model if told


class Library:
    """Files that were indexed, and answers from them; made by `vr.open`.

    The model is loaded when something first needs it. Safe to use from several threads: searches run side by side,
    what writes takes turns.

    >>> with vr.open("my.vlm2vec") as library:
    ...     library.index("reports/")
    ...     library.search("revenue by region", limit=3)[0].place
    'reports/2026.pdf#page=12'
    """

    def __init__(self, collection: Collection, setup: Setup) -> None:
        self.collection, self._setup = collection, setup
        self.place, self.name, self.model = setup.place, setup.name, setup.model
        self.thumbnails = setup.thumbnails
        # refuses other settings than the recorded ones before anything is read
        self.media_settings = settle_media(collection, setup.media)
        self._encoder: Encoder | None = None
        self._reader: MediaReader | None = None
        self._loading, self._reading, self._writing = threading.Lock(), threading.Lock(), threading.RLock()
        self._is_rebuilding = False

    # what it stands on

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors are made with; known without loading the model."""
        return self.collection.fingerprint

    @property
    def encoder(self) -> Encoder | None:
        """The model that built the collection, loaded by the first call; None where only words are searched.

        Raises:
            ModelNotFound: It cannot be reached.
            FingerprintMismatch: What is found under its name has changed since.
        """
        if self._setup.load is None:
            return None
        with self._loading:
            if self._encoder is None:
                encoder = self._setup.load()
                Retriever(self.collection, encoder)  # refuses one that does not fit
                self._encoder = encoder
            return self._encoder

    @property
    def reader(self) -> MediaReader:
        """Opens files the way the collection keeps to, in a process of its own."""
        with self._reading:
            if self._reader is None:
                self._reader = self._new_reader()
            return self._reader

    @property
    def retriever(self) -> Retriever:
        """Answers questions by words and by vectors; loads the model."""
        return self._retriever(None)

    # filling it

    def index(
        self,
        paths: Paths,
        *,
        prune: Prune = False,
        callback: IndexCallback | None = None,
        progress: bool = False,
    ) -> IndexReport:
        """Bring files and folders in, or up to date; unchanged files are skipped. Run it again after a failure.

        Args:
            paths: Files and folders; folders are walked.
            prune: Remove what came from files below `paths` that are no longer there; "all" where that is most of
                what there is.
            callback: Is told how the run goes.
            progress: Show a bar with the time left, in a terminal or a notebook.

        Returns:
            What was done; files that failed are in it with their reasons.

        Raises:
            MediaError: A path is not there, or holds nothing that can be read.
            InvalidInput: A path is empty, or pruning would take most of the collection away.
            CollectionError: The collection cannot be read or written.
        """
        with self._writers_turn(), self._new_reader() as reader:
            if not progress or callback is not None:
                return index(paths, self.writer(), reader, prune=prune, callback=callback)
            from vlm2vec_rag.library.progress import IndexProgress

            with IndexProgress() as bar:
                return index(paths, self.writer(), reader, prune=prune, callback=bar)

    async def aindex(self, paths: Paths, **settings: Any) -> IndexReport:
        """`index` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.index, paths, **settings)

    def writer(self) -> Writer:
        """Writes items of one's own; what the model and the settings are is recorded from now on.

        Raises:
            InvalidInput: The library was opened for words only, and the collection holds vectors.
        """
        encoder = self.encoder
        writer = Writer(self.collection, encoder.encode_items if encoder else None, thumbnails=self.thumbnails)
        if self.model is not None:
            self.model.record(self.collection)
        record_media(self.collection, self.media_settings)
        return writer

    def remove(self, sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
        """Remove files from the collection; the files themselves are not touched.

        Args:
            sources: Each a file by its path or name, a folder, or a pattern such as `*.pdf`.

        Returns:
            What was removed, by full path.

        Raises:
            InvalidInput: A source is empty or a mere dot.
            CollectionError: One of them is not in the collection; then nothing is removed.
        """
        given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
        with self._writers_turn():
            known = list(self.sources())
            wanted: set[str] = set()
            for each in given:
                found = named(check_source(each), known)
                if not found:
                    raise CollectionError(
                        f"{os.fspath(each)!r} is not in the collection; see what is there: vlm2vec-rag list"
                    )
                wanted.update(found)
            if wanted:
                self.collection.delete(Filter(sources=sorted(wanted)))
                self.collection.flush()
        return sorted(wanted)

    def reindex(
        self,
        model: str | Path | Encoder | None = None,
        adapter: str | Path | None = None,
        *,
        callback: IndexCallback | None = None,
        **settings: Any,
    ) -> IndexReport:
        """Embed all files anew, with another model or adapter, or with the same. The old vectors serve meanwhile.

        The new collection is built beside the old one, with every recorded setting, and takes its place in one step.
        After a failure or a kill the old one is whole, and the same call goes on. Nothing else can be indexed or
        removed while it runs.

        Args:
            model: As for `vr.open`; None keeps the recorded one.
            adapter: As for `vr.open`.
            callback: Is told how the run goes.
            settings: More for `vr.open` that is to change: `max_pixels`, `frames`, `language`, `media`, ...

        Returns:
            What was done. Where files failed, the old collection stays.

        Raises:
            CollectionError: Indexed files are no longer there, or something else is being written.
        """
        from vlm2vec_rag.library.reindexing import rebuild

        if self._setup.reopen is None:
            raise InvalidInput("this library was not made by vlm2vec_rag.open and cannot be opened anew")
        with self._writers_turn():
            self._is_rebuilding = True
            try:
                return rebuild(self, self._setup.reopen, model, adapter, callback=callback, settings=settings)
            finally:
                self._is_rebuilding = False

    # asking it

    def search(
        self,
        query: str | Query = "",
        *,
        image: ImageInput | None = None,
        clip: ClipInput | None = None,
        limit: int = 10,
        mode: Mode | None = None,
        filter: FilterInput = None,
        anyway: bool = False,
    ) -> list[Hit]:
        """Find what answers a question, best first.

        Args:
            query: Words, or a whole `Query`. A string is always words, never a path or an address.
            image: A path or a PIL image to ask with, alone or beside words.
            clip: A path or frames to ask with, alone or beside words.
            limit: At most so many.
            mode: `hybrid` (words and vectors, the default), `dense` (vectors) or `bm25` (words).
            filter: A `Filter`, or typed values by name: `{"kind": "page", "source": "*.pdf", "pages": "3-9"}`.
            anyway: Let the model compare what it cannot see.

        Raises:
            EmptyInput: There is nothing to ask.
            InvalidInput: A value makes no sense, or the model cannot see what is asked with.
            MediaError: The image or clip cannot be read.
        """
        wanted = to_filter(filter)
        asked = self.query(query, image=image, clip=clip, anyway=anyway)
        if mode == "bm25" and (asked.image is not None or asked.frames):
            raise InvalidInput("mode 'bm25' asks by words only, and the question shows an image or a clip")
        if mode == "dense" and not anyway:
            self._check_dense(wanted)
        return Hits(self._retriever(mode).search(asked, mode=mode or "hybrid", limit=limit, filter=wanted))

    async def asearch(self, query: str | Query = "", **settings: Any) -> list[Hit]:
        """`search` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.search, query, **settings)

    def query(
        self,
        query: str | Query = "",
        *,
        image: ImageInput | None = None,
        clip: ClipInput | None = None,
        anyway: bool = False,
    ) -> Query:
        """Make a question of what people hand over; its files are read under the same limits as indexed ones.

        Raises:
            EmptyInput: There is nothing to ask.
            InvalidInput: The model cannot see what is asked with; the message names one that can.
            MediaError: The image or clip cannot be read.
        """
        given = query if isinstance(query, Query) else Query()
        if image is not None or given.image is not None:
            self._check_sight("photographs", "asking with an image", anyway=anyway)
        if clip is not None or given.frames:
            self._check_sight("video", "asking with a clip", anyway=anyway)
        if isinstance(query, Query):
            if image is not None or clip is not None:
                raise InvalidInput("a whole Query is given beside an image or a clip; put them into the Query")
            return query
        is_file = any(isinstance(each, str | os.PathLike) for each in (image, clip))
        return build_query(query, image=image, clip=clip, reader=self.reader if is_file else None)

    def chat(self, model: Any = None, *, mode: Mode | None = None, settings: ChatSettings | None = None) -> Chat:
        """Begin a conversation.

        Args:
            model: What `open_chat_model` takes; None answers with quotations of what was found.
            mode: With `bm25` the library's own model is not loaded.
            settings: How much a chat model is told, and how long it may be silent.
        """
        from vlm2vec_rag.chat import Chat, ChatSettings, open_chat_model

        retriever = self._retriever(mode)
        opened = open_chat_model(model, encoder=retriever.encoder)
        return Chat(retriever, opened, reader=self.reader, settings=settings or ChatSettings())

    def ask(
        self,
        question: str | Query,
        model: Any = None,
        *,
        mode: Mode | None = None,
        filter: FilterInput = None,
        settings: ChatSettings | None = None,
    ) -> Answer:
        """Answer one question with citations; see `chat` for the model."""
        with self.chat(model, mode=mode, settings=settings) as chat:
            return chat.ask(question, mode=mode or "hybrid", filter=to_filter(filter))

    async def aask(self, question: str | Query, model: Any = None, **settings: Any) -> Answer:
        """`ask` in a thread; the event loop stays free."""
        return await asyncio.to_thread(self.ask, question, model, **settings)

    def moments(
        self,
        query: str | Query,
        *,
        limit: int = 5,
        mode: Mode | None = None,
        filter: FilterInput = None,
        refine: bool = True,
    ) -> list[Hit]:
        """Find when something happens: neighbouring clips joined, the edges of the best refined by looking again."""
        from vlm2vec_rag.moments import search_moments

        reader = self.reader if refine else None
        found = search_moments(
            query, self._retriever(mode), limit=limit, mode=mode or "hybrid", filter=to_filter(filter), reader=reader
        )
        return Hits(found)

    def videos(
        self,
        query: str | Query,
        *,
        pool: Pool = "max",
        limit: int = 5,
        mode: Mode | None = None,
        filter: FilterInput = None,
    ) -> list[Hit]:
        """Find whole videos by the `max` or the `mean` of their clips' scores."""
        from vlm2vec_rag.moments import search_videos

        found = search_videos(
            query, self._retriever(mode), pool=pool, limit=limit, mode=mode or "hybrid", filter=to_filter(filter)
        )
        return Hits(found)

    def classify(
        self,
        paths: Paths,
        labels: Sequence[str],
        *,
        temperature: float | None = None,
        anyway: bool = False,
    ) -> Iterator[Labelled | Failed]:
        """Label images, pages and clips of files with words of one's own; the files need not be indexed.

        Args:
            paths: Files and folders.
            labels: At least two.
            temperature: Of the softmax over cosines; None takes the model's own.
            anyway: Use a model that sees no photographs all the same.

        Raises:
            InvalidInput: The model cannot see photographs, or the labels make no choice.
            MediaError: A path is not there.
        """
        from vlm2vec_rag.classify import TEMPERATURE, check_labels, classify
        from vlm2vec_rag.media import find_media

        labels = check_labels(labels)
        self._check_sight("photographs", "labelling by looking", anyway=anyway)
        files = list(find_media(paths))
        if not files:
            raise InvalidInput(f"there is nothing to label in {paths}")
        encoder = self.encoder
        assert encoder is not None  # noqa: S101  words only sees nothing, and was refused above
        return classify(files, labels, encoder, self.reader, temperature=temperature or TEMPERATURE)

    def highlights(
        self,
        video: str | os.PathLike[str],
        questions: Sequence[str],
        *,
        each: int = 1,
        longest_s: float = 15.0,
        anyway: bool = False,
    ) -> list[Highlight]:
        """Find the best moments of a video for some questions, in order of time; it need not be indexed.

        Args:
            video: A video file. It is encoded once, whatever the number of questions.
            questions: What to look for.
            each: Moments for each question, at most.
            longest_s: A longer moment is cut to so many seconds around its middle.
            anyway: Use a model that sees no video all the same. A library of words only goes by subtitles.

        Raises:
            EmptyInput: There are no questions.
            InvalidInput: The file is no video, a number makes no sense, or the model cannot see video.
            MediaError: The video cannot be read.
        """
        from vlm2vec_rag.highlights import check_questions, highlights_of

        check_questions(questions, each=each, longest_s=longest_s)
        if self.collection.dim:
            self._check_sight("video", "looking for highlights", anyway=anyway)
        if (kind := self.reader.probe(video).kind) != "video":
            raise InvalidInput(f"{os.fspath(video)} is {kind}; highlights are cut from a video")
        if self._setup.reopen is None:
            raise InvalidInput("this library was not made by vlm2vec_rag.open and cannot be opened anew")
        with self._setup.reopen(":memory:", self.encoder or "none") as beside:
            report = beside.index(video)
            if report.failures and not beside.collection.count():
                raise InvalidInput(report.failures[0].reason)
            found = {question: beside.moments(question, limit=each) for question in questions}
        return highlights_of(found, longest_s=longest_s)

    # looking at it

    def sources(self, filter: Filter | None = None) -> dict[str, Source]:
        """Every file in the collection with what is known of it, by full path."""
        return self.collection.sources(filter)

    def info(self) -> CollectionInfo:
        """What the collection is: its model, its settings, its size."""
        return self.collection.info()

    def hit(self, id: str) -> Hit | None:
        """The item of that id, as a hit without a score; None where there is none."""
        try:
            points = self.collection.retrieve([point_id_of(id)])  # a framework's document has an id of its own
        except VlmRagError:  # no id that the engine could have
            return None
        if not points:
            return None
        found = Found(id=points[0].id, score=0.0, payload=points[0].payload)
        return Retriever(self.collection, thumbnails=self.thumbnails).hit(found)

    def images_of(self, hit: Hit, *, max_pixels: int | None = None, frames: int | None = None) -> tuple[PILImage, ...]:
        """The pixels of a hit, read again from its file: a page, an image, or the frames of a clip.

        Raises:
            MediaError: The file is gone or can no longer be read.
        """
        return images_of(hit, self.reader, max_pixels=max_pixels, frames=frames)

    def image_of(self, hit: Hit, *, max_pixels: int | None = None) -> PILImage | None:
        """One image of a hit: the page, the image, or the middle frame of a clip; None for a text."""
        images = self.images_of(hit, max_pixels=max_pixels)
        return images[len(images) // 2] if images else None

    # keeping

    def close(self) -> None:
        """Let go of the collection and end the process that reads files; closing twice is fine."""
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        self.collection.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        model = str(self.model or "words only")
        return card(self.name, f" at {self.place}", f"{model}, {self.collection.count()} items")

    def __repr__(self) -> str:
        return f"<Library {self.name!r} at {self.place}, {self.model or self.fingerprint.model}>"

    # inside

    def become(self, other: Library) -> None:
        """Take over what another library opened, after the collection was replaced."""
        self.collection, self._setup, self.model = other.collection, other._setup, other.model
        self.media_settings = other.media_settings
        with self._loading:
            self._encoder = other._encoder
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _retriever(self, mode: Mode | None) -> Retriever:
        """A retriever for one way of searching; words alone do not load the model."""
        encoder = None if mode == "bm25" or not self.collection.dim else self.encoder
        return Retriever(self.collection, encoder, thumbnails=self.thumbnails)

    def _new_reader(self) -> MediaReader:
        from vlm2vec_rag.media import MediaLimits, MediaReader

        return MediaReader(self.media_settings, self._setup.limits or MediaLimits())

    def _writers_turn(self) -> threading.RLock:
        if self._is_rebuilding:
            raise CollectionError(
                f"{self.place} is being indexed anew, and what is written now would be lost; try again afterwards"
            )
        self.collection.engine.check_writable()
        return self._writing

    def _check_sight(self, sight: Sight, doing: str, *, anyway: bool = False) -> None:
        if not anyway:
            check_sight(self.encoder, sight, doing)

    def _check_dense(self, wanted: Filter | None) -> None:
        """Refuse to compare the vectors of images and clips that the model did not see."""
        encoder = self.encoder
        if encoder is None:
            return
        needed: tuple[tuple[Kind, Sight], ...] = (("image", "photographs"), ("clip", "video"))
        for kind, sight in needed:
            if sight in encoder.sees or (wanted is not None and wanted.kinds and kind not in wanted.kinds):
                continue
            among = replace(wanted or Filter(), kinds=(kind,))
            if self.collection.count(among):
                check_sight(encoder, sight, f"a dense search among {kind}s (--kind page leaves them out)")


def named(given: str, known: Sequence[str]) -> list[str]:
    """The sources that a person means: by full path, by path from here, by a folder, by a pattern or by file name."""
    path = Path(given).expanduser().resolve().as_posix()
    return (
        [source for source in known if source in (given, path)]
        or [source for source in known if source.startswith(path.rstrip("/") + "/")]
        or matching([given], known)
    )
