"""The pages for people: Search, Ask, Library. Each shows what its address says; htmx swaps the part that changed.

Every link and form here also works as a plain link or form: what htmx adds is that the rest of the page stays.
"""

# ruff: noqa: A001, A002  `open` and `next` are what the addresses call them
from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.serve import present, rendering
from vlm2vec_rag.serve.answering import answer, event
from vlm2vec_rag.serve.errors import NotFound
from vlm2vec_rag.serve.jobs import shown_reason
from vlm2vec_rag.serve.manual import described
from vlm2vec_rag.serve.marks import marked
from vlm2vec_rag.serve.rendering import render
from vlm2vec_rag.serve.search_state import MODES, SearchState, check_mode
from vlm2vec_rag.serve.security import Door, client_address, local_path
from vlm2vec_rag.serve.uploads import indexable

if TYPE_CHECKING:
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.shelf import Shelf

logger = logging.getLogger(__name__)

MOST_EXAMPLES = 4
MOST_ROWS = 500  # of the library's table on one page


def page_routes(shelf: Shelf) -> APIRouter:
    """Every page, and the fragments that are swapped into them."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(shelf)
    router.add_api_route("/", pages.first, methods=["GET"])
    router.add_api_route("/search", pages.search, methods=["GET"])
    router.add_api_route("/search/query", pages.query_file, methods=["POST"])
    router.add_api_route("/ask", pages.ask, methods=["GET"])
    router.add_api_route("/ask", pages.ask_whole, methods=["POST"])
    router.add_api_route("/ask/stream", pages.ask_stream, methods=["POST"])
    router.add_api_route("/library", pages.library, methods=["GET"])
    router.add_api_route("/library/jobs", pages.jobs, methods=["GET"])
    router.add_api_route("/library/upload", pages.upload, methods=["POST"])
    router.add_api_route("/library/fetch", pages.fetch, methods=["POST"])
    router.add_api_route("/library/samples", pages.samples, methods=["POST"])
    router.add_api_route("/library/folder", pages.folder, methods=["POST"])
    router.add_api_route("/library/sources/{source_id}/remove", pages.remove, methods=["POST"])
    router.add_api_route("/library/sources/{source_id}/reindex", pages.reindex, methods=["POST"])
    router.add_api_route("/library/jobs/{job_id}/stop", pages.stop, methods=["POST"])
    router.add_api_route("/docs", pages.docs, methods=["GET"])
    router.add_api_route("/sign-in", pages.sign_in, methods=["GET"])
    router.add_api_route("/sign-in", pages.signed_in, methods=["POST"])
    router.add_api_route("/sign-out", pages.sign_out, methods=["POST"])
    return router


Collection = Annotated[str, Query()]
Text = Annotated[str, Form()]


class Pages:
    """The handlers of the pages over the libraries of a server."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def first(self, collection: Collection = "") -> Response:
        return RedirectResponse(present.address("/search", collection=collection), 303)

    # search

    def search(self, request: Request, collection: Collection = "") -> Response:
        served = self.shelf.get(collection)
        state = SearchState.of(request.query_params, served.name if collection else "")
        if request.headers.get("hx-target") == "reader":
            html = render("_reader.html", **self._reader(served, state.open, state.q, state.quote, state.address))
            return HTMLResponse(html)
        hits: list[Hit] = []
        error = ""
        try:
            if state.is_asked:
                hits = self._find(served, state)
        except VlmRagError as refused:
            error = shown_reason(str(refused))
        cards = [present.card(hit, state.q, has_encoder=served.has_encoder and not state.mode) for hit in hits]
        values = {
            **self._common(request, served, "search"),
            **self._reader(served, state.open, state.q, state.quote, state.address),
            "state": state,
            "modes": MODES,
            "cards": cards,
            "error": error,
            "examples": [] if state.is_asked else self._examples(served),
        }
        # the form sends empty filters as well; the address that is shown leaves them out
        headers = {"HX-Push-Url": state.address()} if request.headers.get("hx-request") else {}
        return HTMLResponse(render("search.html", **values), 400 if error else 200, headers)

    async def query_file(self, request: Request, collection: Collection = "") -> Response:
        """Keep an image or clip to search with; the search page then names it by its id."""
        from anyio.to_thread import run_sync

        served = self.shelf.get(collection)
        if not served.has_encoder:
            raise InvalidInput(
                "this collection is searched by words only; an image or clip needs one built with a model"
            )
        received, _ = await served.query_uploads.receive(request.stream(), request.headers.get("content-type", ""))
        if not received:
            raise InvalidInput("no image or clip was sent; drop one onto the search line")
        first = received[0]
        if first.path is None:
            raise InvalidInput(f"{first.name}: {first.error}")
        kind = (await run_sync(served.library.reader.probe, first.path)).kind
        if kind not in ("image", "video"):
            first.path.unlink(missing_ok=True)
            raise InvalidInput(f"{first.name} is a {kind}; search with an image or a video")
        name = "image" if kind == "image" else "clip"
        return JSONResponse({"name": name, "id": served.keep_query_file(first.path)})

    def _find(self, served: Served, state: SearchState) -> list[Hit]:
        check_mode(state.mode, has_encoder=served.has_encoder)
        given: dict[str, Any] = {}
        for name in ("image", "clip"):
            if query_id := getattr(state, name):
                path = served.query_file(query_id)
                if path is None:
                    raise InvalidInput(f"the {name} that was searched with is no longer kept; drop it here again")
                given[name] = path
        return served.library.search(
            state.q,
            limit=state.limit,
            mode=state.mode or None,  # type: ignore[arg-type]  # one of two, as SearchState reads it
            filter=state.filter(),
            **given,
        )

    def _reader(self, served: Served, item_id: str, question: str, quotation: str, link: Any) -> dict[str, Any]:
        """What the pane with the open item needs; `link` makes the address of this page with another item open."""
        values: dict[str, Any] = {"opened": None, "served": served, "link": link, "gone": False}
        if not item_id:
            return values
        hit = served.hit(item_id)
        if hit is None:
            return {**values, "gone": True}
        return {
            **values,
            "opened": hit,
            "card": present.card(hit, question),
            "count": served.pages_of(hit) if hit.kind in ("page", "clip") else 0,
            "before": served.neighbour(hit, -1),
            "after": served.neighbour(hit, 1),
            "marks": served.marks(hit, question, quotation),
            "pieces": marked(hit.text[: rendering.MOST_TEXT_CHARS], question or quotation),
            "is_here": present.is_here(hit.source),
        }

    def _examples(self, served: Served) -> list[str]:
        """Questions to begin with: the samples' own where they are indexed, else headings of what is there."""
        from itertools import islice

        from vlm2vec_rag import samples

        there = {present.name_of(source) for source in served.library.sources()}
        known = [each.question for each in samples.QUESTIONS if each.places[0].partition("#")[0] in there]
        titles = (
            point.payload.title for point in islice(served.library.collection.scroll(), 300) if point.payload.title
        )
        return (known or list(dict.fromkeys(each for each in titles if len(each) < 70)))[:MOST_EXAMPLES]

    # ask

    def ask(
        self,
        request: Request,
        collection: Collection = "",
        conversation: str = "",
        open: str = "",
        quote: str = "",
        q: str = "",
    ) -> Response:
        served = self.shelf.get(collection)
        found = served.conversation(conversation) if conversation else None

        def link(**changes: Any) -> str:
            known = {"collection": collection, "conversation": conversation, "open": open, "quote": quote}
            return present.address("/ask", **{**known, **changes})

        question = found.turns[-1].question if found is not None and found.turns else ""
        reader = self._reader(served, open, question, quote, link)
        if request.headers.get("hx-target") == "reader":
            return HTMLResponse(render("_reader.html", **reader))
        values = {
            **self._common(request, served, "ask"),
            **reader,
            "conversation": found,
            "is_lost": bool(conversation) and found is None,
            "turns": [rendering.turn_values(served, found, each) for each in found.turns] if found else [],
            "question": q[:2000],
            "examples": self._examples(served),
        }
        return HTMLResponse(render("ask.html", **values))

    async def ask_whole(self, q: Text = "", conversation: Text = "", collection: Text = "") -> Response:
        """Without JavaScript: the whole answer at once."""
        served = self.shelf.get(collection)
        if not q.strip():
            raise InvalidInput("the question is empty; ask with words")
        found = served.conversation(conversation) or served.conversation()
        assert found is not None  # noqa: S101  a new one is always made
        async for _ in answer(found, q):
            pass
        return RedirectResponse(present.address("/ask", collection=collection, conversation=found.id), 303)

    async def ask_stream(
        self, request: Request, q: Text = "", conversation: Text = "", collection: Text = ""
    ) -> Response:
        """The turn as it is written: `turn` once, `text` again and again, `done` with all of it."""
        from anyio.to_thread import run_sync

        served = self.shelf.get(collection)
        if not q.strip():
            raise InvalidInput("the question is empty; ask with words")
        found = served.conversation(conversation) or served.conversation()
        assert found is not None  # noqa: S101  a new one is always made
        at = present.address("/ask", collection=collection, conversation=found.id)

        async def events() -> AsyncIterator[bytes]:
            import time

            shown_s = 0.0
            yield event("begin", {"conversation": found.id, "address": at})
            async for spoken, written in answer(found, q):
                if written.event == "text" and time.monotonic() - shown_s < 0.08:
                    continue  # a fast model writes more often than anybody reads
                shown_s = time.monotonic()
                if written.event == "text":
                    html: str = await run_sync(rendering.answer_html, served, found, spoken)
                    yield event("text", {"html": html})
                else:
                    html = await run_sync(rendering.turn_html, served, found, spoken)
                    yield event("turn" if written.event == "hits" else "done", {"html": html})

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    # library

    def library(
        self,
        request: Request,
        collection: Collection = "",
        source: str = "",
        open: str = "",
        find: str = "",
    ) -> Response:
        served = self.shelf.get(collection)
        if source and not open:
            known = served.source_of(source)
            first = served.first_of(known) if known else None
            open = first.id if first else source

        def link(**changes: Any) -> str:
            return present.address("/library", **{"collection": collection, "find": find, "open": open, **changes})

        reader = self._reader(served, open, "", "", link)
        if request.headers.get("hx-target") == "reader":
            return HTMLResponse(render("_reader.html", **reader))
        values = {**self._common(request, served, "library"), **reader, **self._table(served, collection, find)}
        return HTMLResponse(render("library.html", **values))

    def jobs(self, request: Request, collection: Collection = "", find: str = "") -> Response:
        """The jobs and, in the same answer, the table that they change."""
        served = self.shelf.get(collection)
        return self._changed(request, served, collection, find)

    async def upload(self, request: Request, collection: Collection = "") -> Response:
        from anyio.to_thread import run_sync

        served = self.shelf.get(collection)
        received, _ = await served.uploads.receive(request.stream(), request.headers.get("content-type", ""))
        paths = indexable(received)
        if paths:
            title = paths[0].name if len(paths) == 1 else present.counted(len(paths), "uploaded file")
            await run_sync(lambda: served.index(paths, title))
        refused = [f"{each.name}: {each.error}" for each in received if each.path is None]
        return await run_sync(lambda: self._changed(request, served, collection, "", refused))

    def fetch(self, request: Request, address: Text = "", collection: Collection = "") -> Response:
        served = self.shelf.get(collection)
        served.fetch(address)
        return self._changed(request, served, collection)

    def samples(self, request: Request, collection: Collection = "") -> Response:
        served = self.shelf.get(collection)
        served.index_samples()
        return self._changed(request, served, collection)

    def folder(self, request: Request, folder: Text = "", collection: Collection = "") -> Response:
        """Index one of the folders that the server was started with, named by its number."""
        served = self.shelf.get(collection)
        allowed = served.settings.allowed_folders
        if not folder.isdecimal() or int(folder) >= len(allowed):
            raise NotFound("this folder was not allowed when the server was started; see --allow-folder")
        path = allowed[int(folder)]
        served.index([path], f"folder {path.name}")
        return self._changed(request, served, collection)

    def remove(self, request: Request, source_id: str, collection: Collection = "", find: str = "") -> Response:
        served = self.shelf.get(collection)
        served.remove(known_source(served, source_id))
        return self._changed(request, served, collection, find)

    def reindex(self, request: Request, source_id: str, collection: Collection = "", find: str = "") -> Response:
        served = self.shelf.get(collection)
        served.reindex(known_source(served, source_id))
        return self._changed(request, served, collection, find)

    def stop(self, request: Request, job_id: str, collection: Collection = "") -> Response:
        served = self.shelf.get(collection)
        job = served.jobs.get(job_id)
        if job is None:
            raise NotFound("this job is no longer kept")
        job.stop()
        return self._changed(request, served, collection)

    def _changed(
        self, request: Request, served: Served, collection: str, find: str = "", refused: list[str] | None = None
    ) -> Response:
        if not request.headers.get("hx-request"):
            return RedirectResponse(present.address("/library", collection=collection), 303)
        values = {**self._common(request, served, "library"), **self._table(served, collection, find)}
        return HTMLResponse(render("_changed.html", **{**values, "refused": refused or []}))

    def _table(self, served: Served, collection: str, find: str) -> dict[str, Any]:
        sources = served.sources()
        wanted = find.strip().lower()
        rows = {each: source for each, source in sources.items() if wanted in present.name_of(source.source).lower()}
        return {
            "rows": list(rows.items())[:MOST_ROWS],
            "rows_in_all": len(rows),
            "sources_in_all": len(sources),
            "find": find,
            "jobs": served.jobs.all()[:6],
            "is_working": bool(served.jobs.active()),
            "collection_parameter": collection,
            "refused": [],
        }

    def docs(self, request: Request) -> Response:
        """The API's manual."""
        base = str(request.base_url).rstrip("/")
        return HTMLResponse(render("docs.html", api=described(request.app.openapi()), base=base, shelf=self.shelf))

    # who may come in

    def sign_in(self, request: Request, next: str = "/") -> Response:
        door: Door = request.state.door
        if not door.asks_for_token:
            return RedirectResponse(local_path(next), 303)
        return HTMLResponse(render("sign_in.html", next=local_path(next), error=""))

    def signed_in(self, request: Request, token: Text = "", next: Text = "/") -> Response:
        door: Door = request.state.door
        address = client_address(request.scope)
        wait_s = door.throttle.wait_s(address)
        if wait_s:
            error = f"Too many attempts. Try again in {int(wait_s) + 1} seconds."
            html = render("sign_in.html", next=local_path(next), error=error)
            return HTMLResponse(html, 429, {"Retry-After": str(int(wait_s) + 1)})
        if not door.knows(token.strip()):
            door.throttle.failed(address)
            return HTMLResponse(render("sign_in.html", next=local_path(next), error="This is not the token."), 401)
        response = RedirectResponse(local_path(next), 303)
        response.set_cookie(
            door.cookie, door.sessions.begin(), httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
        return response

    def sign_out(self, request: Request) -> Response:
        door: Door = request.state.door
        if session := door.session_of(request.headers.get("cookie", "")):
            door.sessions.end(session)
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(door.cookie)
        return response

    def _common(self, request: Request, served: Served, page: str) -> dict[str, Any]:
        """What every page's frame needs."""
        from importlib.util import find_spec

        door: Door = request.state.door
        return {
            "page": page,
            "served": served,
            "shelf": self.shelf,
            "collection": served.name if len(self.shelf) > 1 else "",
            "asks_for_token": door.asks_for_token,
            "is_empty": served.is_empty,
            "can_fetch": find_spec("yt_dlp") is not None,
        }


def known_source(served: Served, source_id: str) -> str:
    """The source of an id.

    Raises:
        NotFound: It is not in the collection.
    """
    source = served.source_of(source_id)
    if source is None:
        raise NotFound("this source is not in the collection, or no longer")
    return source
