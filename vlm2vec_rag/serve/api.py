"""The API for programs: search, ask, items, sources, uploads, jobs, health. Ids name things, never paths."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from vlm2vec_rag.doctor import Check, quick_checks, worst
from vlm2vec_rag.retrieval import NOTHING_FOUND
from vlm2vec_rag.serve import present
from vlm2vec_rag.serve.answering import MOST_QUESTION_CHARS, answer, event
from vlm2vec_rag.serve.errors import NotFound, body
from vlm2vec_rag.serve.inline_images import read_image
from vlm2vec_rag.serve.jobs import shown_reason
from vlm2vec_rag.serve.pages import known_source
from vlm2vec_rag.serve.search_state import MOST, check_mode, typed_filter
from vlm2vec_rag.serve.uploads import indexable
from vlm2vec_rag.terminal import size_of

if TYPE_CHECKING:
    from vlm2vec_rag.collection import Filter
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.shelf import Shelf

Collection = Annotated[str, Query(description="Which collection; the first one where it is left out.")]
Kind = Literal["text", "image", "page", "clip"]


class Filters(BaseModel):
    """Which items may be found, as people write it."""

    kind: list[Kind] = Field([], description="Only these kinds.")
    source: list[str] = Field([], description="Names, folders/ and patterns such as '*.pdf'.", max_length=100)
    pages: str | None = Field(None, description="12, 3-9 or 40-.", max_length=40)
    time: str | None = Field(None, description="Clips in these seconds or times: 60-90, 1:00-1:30.", max_length=40)
    since: str | None = Field(None, description="Files written on this day or later: 2026-01-31.", max_length=40)
    until: str | None = Field(None, description="Files written on this day or before.", max_length=40)

    def to_filter(self) -> Filter | None:
        """As the library takes it."""
        return typed_filter(
            kind=tuple(self.kind),
            source=tuple(self.source),
            pages=self.pages,
            time=self.time,
            since=self.since,
            until=self.until,
        )


class SearchRequest(Filters):
    """A search: words, an image, or words about one."""

    query: str = Field("", max_length=2000, description="The words.")
    image: str | None = Field(None, description="An image to search with, as a data: URI or in base64.")
    mode: Literal["hybrid", "dense", "bm25"] | None = Field(None, description="hybrid unless told.")
    limit: int = Field(10, ge=1, le=MOST)
    collection: str = ""


class AskRequest(Filters):
    """A question to be answered from what is found."""

    question: str = Field(min_length=1, max_length=MOST_QUESTION_CHARS)
    conversation: str = Field("", description="Of an earlier answer, to follow up on it.")
    stream: bool = Field(False, description="Server-Sent Events: hits, text (again and again), then done or error.")
    collection: str = ""


def api_routes(shelf: Shelf) -> APIRouter:
    """Everything below `/api`, and `/health`."""
    router = APIRouter()
    api = Api(shelf)
    router.add_api_route("/api/collections", api.collections, methods=["GET"], tags=["collections"])
    router.add_api_route("/api/search", api.search, methods=["POST"], tags=["search"])
    router.add_api_route("/api/search", api.search_words, methods=["GET"], tags=["search"])
    router.add_api_route("/api/ask", api.ask, methods=["POST"], tags=["ask"], response_class=Response)
    router.add_api_route("/api/items/{item_id}", api.item, methods=["GET"], tags=["items"])
    router.add_api_route("/api/items/{item_id}/marks", api.marks, methods=["GET"], tags=["items"])
    router.add_api_route("/api/sources", api.sources, methods=["GET"], tags=["sources"])
    router.add_api_route("/api/sources/{source_id}", api.remove, methods=["DELETE"], tags=["sources"])
    router.add_api_route("/api/sources/{source_id}/reindex", api.reindex, methods=["POST"], tags=["sources"])
    router.add_api_route("/api/reindex", api.reindex_all, methods=["POST"], tags=["sources"])
    upload_body = {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD_SCHEMA}}}
    router.add_api_route(
        "/api/upload", api.upload, methods=["POST"], tags=["sources"], openapi_extra={"requestBody": upload_body}
    )
    router.add_api_route("/api/jobs", api.jobs, methods=["GET"], tags=["jobs"])
    router.add_api_route("/api/jobs/{job_id}", api.job, methods=["GET"], tags=["jobs"])
    router.add_api_route("/api/jobs/{job_id}", api.stop, methods=["DELETE"], tags=["jobs"])
    router.add_api_route(
        "/api/jobs/{job_id}/events", api.job_events, methods=["GET"], tags=["jobs"], response_class=Response
    )
    router.add_api_route("/health", api.health, methods=["GET"], tags=["health"])
    return router


_UPLOAD_SCHEMA = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}


class Api:
    """The handlers of the API over the libraries of a server."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def collections(self) -> dict[str, Any]:
        """The collections of this server, the default one first."""
        return {"collections": [_collection_json(each) for each in self.shelf.all()]}

    def search(self, asked: SearchRequest) -> Response:
        """Find what fits words, an image, or words about one; best first."""
        served = self.shelf.get(asked.collection)
        check_mode(asked.mode or "", has_encoder=served.has_encoder)
        started = time.perf_counter()
        given = {"image": read_image(asked.image, served.library.reader)} if asked.image else {}
        hits = served.library.search(asked.query, limit=asked.limit, mode=asked.mode, filter=asked.to_filter(), **given)
        # sent as it is: FastAPI would walk through every text of it once more
        answer = {
            "hits": [_hit(served, hit, asked.query) for hit in hits],
            "collection": served.name,
            "seconds": round(time.perf_counter() - started, 4),
            **({} if hits else {"message": NOTHING_FOUND}),
        }
        return JSONResponse(answer)

    def search_words(
        self,
        q: Annotated[str, Query(max_length=2000)],
        limit: Annotated[int, Query(ge=1, le=MOST)] = 10,
        collection: Collection = "",
    ) -> Response:
        """Find by words alone: the short form."""
        return self.search(
            SearchRequest(
                query=q,
                limit=limit,
                collection=collection,
                image=None,
                mode=None,
                kind=[],
                source=[],
                pages=None,
                time=None,
                since=None,
                until=None,
            )
        )

    async def ask(self, asked: AskRequest) -> Response:
        """Answer a question from what is found, with citations; whole, or as it is written."""
        served = self.shelf.get(asked.collection)
        conversation = served.conversation(asked.conversation)
        if conversation is None:
            raise NotFound("this conversation is no longer kept; ask without one to begin anew")
        wanted = asked.to_filter()

        async def events() -> AsyncIterator[bytes]:
            async for spoken, written in answer(conversation, asked.question, filter=wanted):
                if written.event == "hits":
                    hits = [_hit(served, hit, asked.question) for hit in spoken.hits]
                    yield event("hits", {"conversation": conversation.id, "hits": hits})
                elif written.event == "text":
                    yield event("text", {"text": written.text})
                elif spoken.state == "failed":
                    yield event("error", body("failed", spoken.error, 502))
                else:
                    yield event("done", _answer(served, conversation.id, spoken))

        if asked.stream:
            return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        told = [spoken async for spoken, _ in answer(conversation, asked.question, filter=wanted)]
        spoken = told[-1]  # an answer is over at least once
        if spoken.state == "failed":
            return JSONResponse(body("failed", spoken.error, 502), 502)
        return JSONResponse(_answer(served, conversation.id, spoken))

    def item(self, item_id: str, collection: Collection = "") -> dict[str, Any]:
        """An item by its id; its pixels are behind its links."""
        served, hit = self._found(item_id, collection)
        return _hit(served, hit, "")

    def marks(
        self,
        item_id: str,
        q: Annotated[str, Query(max_length=2000, description="Words of a question.")] = "",
        quote: Annotated[str, Query(max_length=2000, description="Or a quotation from the page.")] = "",
        collection: Collection = "",
    ) -> dict[str, Any]:
        """Where words stand on a page: boxes in fractions of the page, from its top left."""
        served, hit = self._found(item_id, collection)
        words = served.marks(hit, q, quote)
        boxes = [{"text": each.text, "x0": each.x0, "y0": each.y0, "x1": each.x1, "y1": each.y1} for each in words]
        return {"boxes": boxes}

    def sources(self, collection: Collection = "") -> dict[str, Any]:
        """What is indexed, by file."""
        served = self.shelf.get(collection)
        return {"sources": [present.source_json(each, source) for each, source in served.sources().items()]}

    def remove(self, source_id: str, collection: Collection = "") -> Response:
        """Take a source out of the collection; an uploaded file goes as well. A job while something is indexed."""
        served = self.shelf.get(collection)
        source = known_source(served, source_id)
        job = served.remove(source)
        if job is not None:
            return JSONResponse(present.job_json(job), 202)
        return JSONResponse({"removed": [{"id": source_id, "name": present.name_of(source)}]})

    def reindex(self, source_id: str, collection: Collection = "") -> Response:
        """Read a source again, as a job."""
        served = self.shelf.get(collection)
        return JSONResponse(present.job_json(served.reindex(known_source(served, source_id))), 202)

    def reindex_all(self, collection: Collection = "") -> Response:
        """Embed everything anew, as a job; what is there serves meanwhile."""
        return JSONResponse(present.job_json(self.shelf.get(collection).reindex_all()), 202)

    async def upload(self, request: Request, collection: Collection = "") -> Response:
        """Upload files as multipart/form-data and index them, as a job; files that are refused come with the reason."""
        from anyio.to_thread import run_sync

        served = self.shelf.get(collection)
        received, _ = await served.uploads.receive(request.stream(), request.headers.get("content-type", ""))
        paths = indexable(received)
        title = paths[0].name if len(paths) == 1 else present.counted(len(paths), "uploaded file")
        job = await run_sync(lambda: served.index(paths, title)) if paths else None
        files = [{"name": each.name, "is_kept": each.path is not None, "error": each.error} for each in received]
        answer = {"files": files, "job": present.job_json(job) if job else None}
        return JSONResponse(answer, 202 if job else 422)

    def jobs(self, collection: Collection = "") -> dict[str, Any]:
        """The jobs of a collection, the newest first."""
        return {"jobs": [present.job_json(each) for each in self.shelf.get(collection).jobs.all()]}

    def job(self, job_id: str, collection: Collection = "") -> dict[str, Any]:
        """How far a job is."""
        return present.job_json(self._job(job_id, collection))

    def stop(self, job_id: str, collection: Collection = "") -> dict[str, Any]:
        """Ask a job to stop; what it has done stays."""
        job = self._job(job_id, collection)
        job.stop()
        return present.job_json(job)

    def job_events(self, job_id: str, collection: Collection = "") -> Response:
        """How far a job is, as Server-Sent Events until it is over."""
        from anyio.to_thread import run_sync

        job = self._job(job_id, collection)

        async def events() -> AsyncIterator[bytes]:
            version = -1
            while True:
                changed = await run_sync(job.wait, version, 15.0, abandon_on_cancel=True)
                yield event("job", present.job_json(job)) if changed != version else b": still here\n\n"
                version = changed
                if job.is_over:
                    return

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    def health(self) -> Response:
        """Whether the server can do its work: 200 where it can, else 503, with the checks that say why."""
        checks = {served.name: [*quick_checks(served.library), _room(served)] for served in self.shelf.all()}
        state = worst([check for each in checks.values() for check in each])
        shown = [
            {"collection": name, **{field: shown_reason(value) for field, value in dataclasses.asdict(check).items()}}
            for name, each in checks.items()
            for check in each
        ]
        return JSONResponse({"status": state, "checks": shown}, 503 if state == "fault" else 200)

    def _found(self, item_id: str, collection: str) -> tuple[Served, Hit]:
        served = self.shelf.get(collection)
        hit = served.hit(item_id)
        if hit is None:
            raise NotFound("this item is not in the collection, or no longer")
        return served, hit

    def _job(self, job_id: str, collection: str) -> Any:
        job = self.shelf.get(collection).jobs.get(job_id)
        if job is None:
            raise NotFound("this job is no longer kept")
        return job


def _room(served: Served) -> Check:
    room = served.uploads.room_bytes()
    got = f"{size_of(max(room, 0))} left"
    if room > 0:
        return Check(name="room for uploads", got=got)
    step = "delete uploaded files, make room on the disk, or raise --uploads-gb"
    return Check(name="room for uploads", state="warning", got=got, expected="room", next_step=step)


def _hit(served: Served, hit: Hit, question: str) -> dict[str, Any]:
    return present.hit_json(hit, served.source_id(hit.source), served.name, question)


def _answer(served: Served, conversation: str, spoken: Any) -> dict[str, Any]:
    from vlm2vec_rag.chat.citations import cited_numbers

    numbers = [each for each in cited_numbers(spoken.text) if each <= len(spoken.hits)]
    citations = [{"number": each, "hit": _hit(served, spoken.hits[each - 1], spoken.question)} for each in numbers]
    return {
        "conversation": conversation,
        "question": spoken.question,
        "text": spoken.text,
        "citations": citations,
        "model": served.chat_model.name if served.chat_model else "",
        "state": spoken.state,
    }


def _collection_json(served: Served) -> dict[str, Any]:
    info = served.library.info()
    return {
        "name": served.name,
        "items": info.points,
        "model": info.fingerprint.model if served.has_encoder else "",
        "dim": info.dim,
        "fingerprint": info.fingerprint.digest,
    }
