"""A library as clients of a server see it: items and sources by id, uploads, jobs and conversations.

Everything a client may name has an id, and everything it names by an id is looked up here. A path never comes in, and
never goes out.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.collection import Filter, Found
from vlm2vec_rag.errors import InvalidInput, MediaError
from vlm2vec_rag.retrieval import Retriever
from vlm2vec_rag.serve.jobs import Job, Jobs
from vlm2vec_rag.serve.marks import matching, quoted
from vlm2vec_rag.serve.uploads import Uploads

if TYPE_CHECKING:
    from vlm2vec_rag.chat import Chat, ChatModel
    from vlm2vec_rag.collection import Source
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.library import Library
    from vlm2vec_rag.media import Word
    from vlm2vec_rag.serve.settings import ServeSettings

PAGE_PIXELS = 1800 * 1800  # of a page shown large
ZOOMED_PIXELS = 3200 * 3200  # of one looked at closely
MOST_CONVERSATIONS = 200
MOST_QUERY_FILES = 50  # images and clips to search with
QUERY_FILE_S = 3600.0


@dataclass(slots=True)
class Spoken:
    """A question of a conversation and its answer, as the page shows it."""

    question: str
    text: str = ""
    hits: tuple[Hit, ...] = ()
    state: str = "writing"  # writing, done, stopped or failed
    error: str = ""


@dataclass(slots=True, eq=False)
class Conversation:
    """A conversation that the server keeps, so that its page can be opened again."""

    chat: Chat
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    turns: list[Spoken] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)  # one answer at a time


class Served:
    """One library behind a server.

    Args:
        name: By which clients know it.
        library: Open; closed by whoever opened it.
        settings: Limits of what may be uploaded.
        chat_model: Answers questions; None quotes.
        uploads: Folder for uploaded files; None takes one beside the library.
    """

    def __init__(
        self,
        name: str,
        library: Library,
        settings: ServeSettings,
        *,
        chat_model: ChatModel | None = None,
        uploads: Path | None = None,
    ) -> None:
        self.name, self.library, self.settings, self.chat_model = name, library, settings, chat_model
        self._scratch = Path(tempfile.mkdtemp(prefix="vlm2vec-serve-"))
        self.uploads = Uploads(
            uploads or self._uploads_folder(),
            max_file_bytes=settings.max_file_bytes,
            budget_bytes=settings.upload_budget_bytes,
            keep_free_bytes=settings.keep_free_bytes,
        )
        # images and clips to search with: kept for an hour, and gone with the server
        self.query_uploads = Uploads(
            self._scratch / "queries", max_file_bytes=200_000_000, budget_bytes=2_000_000_000, keep_free_bytes=0
        )
        self.jobs = Jobs()
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()
        self._query_files: OrderedDict[str, tuple[Path, float]] = OrderedDict()
        self._names: dict[str, str] = {}  # source by id
        self._lock = threading.Lock()

    @property
    def has_encoder(self) -> bool:
        """Whether a model built this collection; without one it is searched by words."""
        return bool(self.library.collection.dim)

    # items

    def hit(self, item_id: str) -> Hit | None:
        """The item of that id; None where there is none."""
        return self.library.hit(item_id)

    def neighbour(self, hit: Hit, step: int) -> Hit | None:
        """The next page or clip of the same file (step 1), or the one before (step -1)."""
        if hit.kind == "page" and hit.page is not None:
            page = hit.page + step
            return self._first(Filter(sources=[hit.source], kinds=("page",), pages=(page, page))) if page >= 1 else None
        if hit.kind == "clip":
            clips = sorted(
                self._scroll(Filter(sources=[hit.source], kinds=("clip",))), key=lambda each: each.start_s or 0
            )
            at = next((index for index, each in enumerate(clips) if each.id == hit.id), None)
            return clips[at + step] if at is not None and 0 <= at + step < len(clips) else None
        return None

    def first_of(self, source: str) -> Hit | None:
        """The first page, clip or passage of a file."""
        return self._first(Filter(sources=[source]))

    def marks(self, hit: Hit, question: str, quotation: str = "") -> list[Word]:
        """Where the words of a quotation, or of a question, stand on a page; nothing where they cannot be told."""
        if hit.kind != "page" or hit.page is None or not (question or quotation):
            return []
        try:
            words = self.library.reader.words(hit.source, hit.page)
        except (MediaError, InvalidInput):
            return []
        return quoted(words, quotation) if quotation else matching(words, question)

    def pixels(self, hit: Hit, *, zoomed: bool = False) -> bytes | None:
        """A page or an image as a JPEG file; None for what has neither.

        Raises:
            MediaError: The file is gone or can no longer be read.
        """
        import io

        budget = ZOOMED_PIXELS if zoomed else PAGE_PIXELS
        if hit.kind == "page" and hit.page is not None:
            image = self.library.reader.page(hit.source, hit.page, max_pixels=budget).image
        elif hit.kind == "image":
            image = self.library.reader.image(hit.source, max_pixels=budget).image
        else:
            return None
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=88)
        return buffer.getvalue()

    # sources

    def source_id(self, source: str) -> str:
        """The id by which clients name a source: a digest, which tells nothing of where the file is."""
        made = hashlib.sha256(source.encode()).hexdigest()[:24]
        self._names[made] = source
        return made

    def source_of(self, source_id: str) -> str | None:
        """The source of that id, if it is in the collection."""
        if source_id not in self._names:
            for source in self.library.sources():
                self.source_id(source)
        known = self._names.get(source_id)
        return known if known is not None and self.first_of(known) is not None else None

    def sources(self) -> dict[str, Source]:
        """Every source by its id, sorted by name."""
        found = sorted(self.library.sources().values(), key=lambda each: (Path(each.source).name.lower(), each.source))
        return {self.source_id(each.source): each for each in found}

    def pages_of(self, hit: Hit) -> int:
        """How many pages, clips or passages the file of a hit has."""
        found = self.library.sources(Filter(sources=[hit.source])).get(hit.source)
        return found.file_points or found.points if found else 0

    @property
    def is_empty(self) -> bool:
        return self.library.collection.count() == 0

    # work

    def index(self, paths: Sequence[Path], title: str) -> Job:
        """Index files or folders as a job."""

        def work(job: Job) -> str:
            return _summary(self.library.index(list(paths), callback=job))

        files = [path for path in paths if path.is_file()]
        return self.jobs.submit(title, work, files=files)

    def fetch(self, address: str) -> Job:
        """Fetch a video by its address and index it, as a job.

        Raises:
            InvalidInput: The address is not one that is fetched from.
            MissingExtra: yt-dlp is not installed.
        """
        from vlm2vec_rag.extras import require
        from vlm2vec_rag.serve.download import check_address, download_video

        host = check_address(address, self.settings.downloads)
        require("yt_dlp", "url")

        def work(job: Job) -> str:
            path: Path | None = None
            for said in download_video(address, self.uploads.folder, self.settings.downloads):
                if isinstance(said, Path):
                    path = said
                else:
                    job.say(said)
            if path is None:
                return "nothing was fetched"
            job.expect([path])
            return _summary(self.library.index([path], callback=job))

        return self.jobs.submit(f"video from {host}", work)

    def index_samples(self) -> Job:
        """Index the sample collection that comes with the package, as a job."""
        from vlm2vec_rag import samples

        return self.index([samples.folder()], "the sample collection")

    def reindex(self, source: str) -> Job:
        """Read a file again and bring the collection up to date with it, as a job.

        Raises:
            InvalidInput: The file is no longer there.
        """
        path = Path(source)
        if not path.is_file():
            raise InvalidInput(f"{path.name} is no longer where it was indexed; remove it, or put it back first")
        return self.index([path], path.name)

    def remove(self, source: str) -> Job | None:
        """Take a source out of the collection, and an uploaded file off the disk.

        Returns:
            None where it is done; while something is being indexed, the job that will do it afterwards.
        """
        if not self.jobs.active():
            self._remove(source)
            return None

        def work(_: Job) -> str:
            self._remove(source)
            return "removed"

        return self.jobs.submit(f"remove {Path(source).name}", work)

    def reindex_all(self) -> Job:
        """Embed everything anew beside what is there, and put it in its place, as a job."""
        return self.jobs.submit("everything anew", lambda job: _summary(self.library.reindex(callback=job)))

    # conversations, and files to search with

    def conversation(self, conversation_id: str = "") -> Conversation | None:
        """The conversation of that id, None where it is not kept; a new one for an empty id."""
        with self._lock:
            if conversation_id:
                found = self._conversations.get(conversation_id)
                if found is not None:
                    self._conversations.move_to_end(conversation_id)
                return found
            made = Conversation(self.library.chat(self.chat_model))
            self._conversations[made.id] = made
            while len(self._conversations) > MOST_CONVERSATIONS:
                self._conversations.popitem(last=False)
            return made

    def keep_query_file(self, path: Path) -> str:
        """Keep an image or clip for an hour, to search with; returns its id."""
        query_id = secrets.token_urlsafe(12)
        with self._lock:
            self._query_files[query_id] = (path, time.monotonic() + QUERY_FILE_S)
            while len(self._query_files) > MOST_QUERY_FILES:
                _, (oldest, _) = self._query_files.popitem(last=False)
                oldest.unlink(missing_ok=True)
        return query_id

    def query_file(self, query_id: str) -> Path | None:
        """The image or clip of that id; None where it is no longer kept."""
        with self._lock:
            path, ends_s = self._query_files.get(query_id, (None, 0.0))
        return path if path is not None and ends_s > time.monotonic() else None

    def close(self, timeout_s: float = 3.0) -> bool:
        """Stop the jobs and forget what was not kept. Returns whether every job has ended within that time."""
        ended = self.jobs.close(timeout_s)
        shutil.rmtree(self._scratch, ignore_errors=True)
        return ended

    def _uploads_folder(self) -> Path:
        place = str(self.library.place)
        if place == ":memory:":
            return self._scratch / "uploads"
        if place.startswith(("http://", "https://")):
            return Path("vlm2vec-uploads") / self.name
        return Path(place) / "uploads"

    def _remove(self, source: str) -> None:
        self.library.remove([source])
        if self.uploads.owns(source):
            Path(source).unlink(missing_ok=True)

    def _scroll(self, filter: Filter) -> list[Hit]:  # noqa: A002
        shown = Retriever(self.library.collection, thumbnails=self.library.thumbnails)  # needs no model to show things
        points = self.library.collection.scroll(filter)
        return [shown.hit(Found(id=each.id, score=0.0, payload=each.payload)) for each in points]

    def _first(self, filter: Filter) -> Hit | None:  # noqa: A002
        return min(self._scroll(filter), key=_order, default=None)


def _order(hit: Hit) -> tuple[Any, ...]:
    start = int(hit.place.rpartition("#char=")[2].partition(",")[0] or 0) if "#char=" in hit.place else 0
    return (hit.page or 0, hit.start_s or 0.0, start)


def _summary(report: Any) -> str:
    """What an indexing run did, in one line."""
    parts = []
    if report.indexed:
        parts.append(f"{report.indexed} file{'s' * (report.indexed != 1)} indexed ({report.items} items)")
    if report.unchanged:
        parts.append(f"{report.unchanged} unchanged")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    if report.language:
        parts.append(f"language: {report.language}")
    return ", ".join(parts) or "nothing to do"
