"""What the tabs share: one collection, its encoder, and a reader; search, index, remove, one hit by its id."""

# ruff: noqa: A002  `filter` is what every retrieval library calls it
from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.collection import Filter
from vlm2vec_rag.documents import point_id_of
from vlm2vec_rag.errors import VlmRagError
from vlm2vec_rag.items import Hit, Query
from vlm2vec_rag.retrieval import Retriever
from vlm2vec_rag.web.marks import mark, matching

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from vlm2vec_rag.chat import ChatModel
    from vlm2vec_rag.collection import Collection, Source
    from vlm2vec_rag.collection.searching import Mode
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.thumbnails import Thumbnails

PAGE_PIXELS = 1800 * 1800  # of a page shown large


@dataclass(frozen=True, slots=True)
class Step:
    """How far a file is on its way into the collection."""

    name: str
    state: str  # "waiting", "done", or the reason why it failed
    is_error: bool = False


class Library:
    """One collection for all who use the app. Searches run side by side, indexing takes turns."""

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder | None,
        thumbnails: Thumbnails,
        uploads: Path,
        chat_model: ChatModel | None = None,
    ) -> None:
        from vlm2vec_rag.library.indexing import record_media, settle_media
        from vlm2vec_rag.media import MediaReader

        self.collection, self.encoder, self.thumbnails = collection, encoder, thumbnails
        self.uploads, self.chat_model = uploads, chat_model
        self.retriever = Retriever(collection, encoder, thumbnails=thumbnails)
        settings = settle_media(collection)
        record_media(collection, settings)
        self.reader = MediaReader(settings)
        self._indexing = threading.Lock()

    def search(self, query: Query | str, *, mode: Mode, limit: int, filter: Filter | None) -> list[Hit]:
        """See `Retriever.search`."""
        return self.retriever.search(query, mode=mode, limit=limit, filter=filter)

    def hit(self, point_id: str) -> Hit | None:
        """The item of that id, as a hit without a score; None where there is none."""
        from vlm2vec_rag.collection import Found

        try:
            points = self.collection.retrieve([point_id_of(point_id)])  # a framework's document has an id of its own
        except VlmRagError:  # no id that the engine could have
            return None
        return self.retriever.hit(Found(id=points[0].id, score=0.0, payload=points[0].payload)) if points else None

    def image(self, hit: Hit, question: str = "") -> PILImage | None:
        """A page large with the question's words marked, or an image; None for what has neither.

        Raises:
            MediaError: The file is gone or can no longer be read.
        """
        if hit.kind == "page" and hit.page is not None:
            page = self.reader.page(hit.source, hit.page, max_pixels=PAGE_PIXELS).image
            return mark(page, matching(self.reader.words(hit.source, hit.page), question)) if question else page
        if hit.kind == "image":
            return self.reader.image(hit.source, max_pixels=PAGE_PIXELS).image
        return None

    def sources(self) -> Mapping[str, Source]:
        """What is indexed."""
        return self.collection.sources()

    def take_in(self, files: Sequence[str]) -> list[Path]:
        """Move uploaded files to where they stay, under their own names, each beside others of the same name."""
        self.uploads.mkdir(parents=True, exist_ok=True)
        kept = []
        for file in map(Path, files):
            # of a name from outside only the last part counts, and no part that hides a file
            name = Path(file.name.replace("\\", "/")).name.lstrip(".") or "file"
            target = self.uploads / name
            number = 2
            while target.exists() and target.read_bytes() != file.read_bytes():
                target = self.uploads / f"{Path(name).stem}-{number}{Path(name).suffix}"
                number += 1
            if not target.exists():
                shutil.move(file, target)
            kept.append(target)
        return kept

    def index(self, paths: Sequence[Path]) -> Iterator[list[Step]]:
        """Index files; yields all steps anew whenever one changes. One run at a time, others wait."""
        from vlm2vec_rag.library.indexing import index
        from vlm2vec_rag.library.writing import Writer

        steps = {path.resolve().as_posix(): Step(path.name, "waiting") for path in paths}
        yield list(steps.values())
        heard: queue.Queue[tuple[str, str | None] | VlmRagError | None] = queue.Queue()

        class Listener:
            def planned(self, files: int, items: int) -> None: ...

            def items_done(self, kinds: Mapping[str, int]) -> None: ...

            def file_done(self, source: str, error: str | None) -> None:
                heard.put((source, error))

        def run() -> None:
            try:
                with self._indexing:
                    encode = self.encoder.encode_items if self.encoder else None
                    index(
                        paths,
                        Writer(self.collection, encode, thumbnails=self.thumbnails),
                        self.reader,
                        callback=Listener(),
                    )
                heard.put(None)
            except VlmRagError as error:
                heard.put(error)

        thread = threading.Thread(target=run, name="vlm2vec-indexing", daemon=True)
        thread.start()
        while (message := heard.get()) is not None:
            if isinstance(message, VlmRagError):
                thread.join()
                raise message
            source, error = message
            steps[source] = Step(Path(source).name, error or "done", is_error=error is not None)
            yield list(steps.values())
        thread.join()
        # a file that is there already makes no sound: it is done as well
        yield [Step(step.name, "done") if step.state == "waiting" else step for step in steps.values()]

    def remove(self, sources: Sequence[str]) -> None:
        """Take files out of the collection, and uploaded ones off the disk."""
        self.collection.delete(Filter(sources=list(sources)))
        self.collection.flush()
        for source in map(Path, sources):
            if source.is_relative_to(self.uploads.resolve()):
                source.unlink(missing_ok=True)

    def close(self) -> None:
        """End the reading process."""
        self.reader.close()
