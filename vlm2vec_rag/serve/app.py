"""Put the server together: libraries, pages, API, embeddings and agents, all behind one door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.extras import require
from vlm2vec_rag.serve.errors import NotFound
from vlm2vec_rag.serve.shelf import Shelf

if TYPE_CHECKING:
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.serve.security import App
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings


def build_app(served: Iterable[Served], settings: ServeSettings) -> App:
    """The whole server as an ASGI app, for a server of one's own; `vlm2vec-rag serve` runs it with uvicorn.

    Args:
        served: The libraries, the default one first. Whoever opened them closes them.
        settings: Who may ask, and what is taken.

    Raises:
        MissingExtra: FastAPI or what it needs is not installed.
    """
    for module in ("fastapi", "jinja2", "python_multipart", "mcp.server"):
        require(module, "serve")
    from fastapi import FastAPI
    from starlette.staticfiles import StaticFiles

    import vlm2vec_rag
    from vlm2vec_rag.media import MediaReader, MediaSettings
    from vlm2vec_rag.serve.agents import agent_server
    from vlm2vec_rag.serve.api import api_routes
    from vlm2vec_rag.serve.embeddings import embedding_routes
    from vlm2vec_rag.serve.errors import add_error_handlers
    from vlm2vec_rag.serve.items import item_routes
    from vlm2vec_rag.serve.pages import page_routes
    from vlm2vec_rag.serve.rendering import STATIC
    from vlm2vec_rag.serve.security import Door

    shelf = Shelf(served)
    agents = agent_server(shelf, allow_write=settings.allow_write)
    # the door has checked Host and Origin already; sessions are not kept, so nothing of an agent's is held here
    from mcp.server.transport_security import TransportSecuritySettings

    mcp = agents.streamable_http_app(
        stateless_http=True,
        json_response=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    reader = MediaReader(MediaSettings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with agents.session_manager.run():
            yield
        reader.close()

    app = FastAPI(
        title="vlm2vec-rag",
        version=vlm2vec_rag.__version__,
        summary="Search documents, images and videos by what they say and show.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    add_error_handlers(app)

    app.include_router(page_routes(shelf))
    app.include_router(item_routes(shelf))
    app.include_router(api_routes(shelf))
    app.include_router(embedding_routes(encoder_of(shelf), reader))
    app.mount("/static", StaticFiles(directory=STATIC))
    app.router.routes.extend(mcp.routes)
    return Door(app, settings)


def encoder_of(shelf: Shelf) -> Any:
    """A function from a model's name to the encoder of the collection that was built with it."""

    def find(name: str) -> Encoder:
        have = [each for each in shelf.all() if each.has_encoder]
        if not have:
            raise InvalidInput("no collection here was built with a model, so there is nothing to embed with")
        for served in have:
            known = served.library.fingerprint.model
            if name in ("", served.name, known, known.rpartition("/")[2]):
                encoder = served.library.encoder
                if encoder is None:
                    raise InvalidInput(f"{served.name} was opened for words only; serve it without --model none")
                return encoder
        models = ", ".join(each.library.fingerprint.model for each in have)
        raise NotFound(f"there is no model {name[:80]!r} here; there is {models}")

    return find
