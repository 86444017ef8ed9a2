"""`serve`: pages, an API and agents' tools over one or more collections."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm2vec_rag.cli.console import note
from vlm2vec_rag.cli.index import tell_spread
from vlm2vec_rag.cli.options import DEFAULT_FOLDER, ModelOptions, SpreadOptions, with_options
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.library import Library
    from vlm2vec_rag.serve import ServeSettings
    from vlm2vec_rag.serve.served import Served

CollectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--collection",
        "-c",
        help="A folder, a Qdrant server (http://host:6333#COLLECTION), or NAME=PLACE; several give a switcher. "
        "VLM2VEC_COLLECTION or .vlm2vec where it is left out.",
    ),
]
ChatOption = Annotated[
    str, typer.Option("--chat", help="Who answers: 'openai:gpt-4o' and the like, 'local', or 'none' for quotations.")
]
AllowFolderOption = Annotated[
    list[Path] | None, typer.Option("--allow-folder", help="A folder of this machine that clients may have indexed.")
]


@with_options
def serve_command(
    model: ModelOptions,
    spread: SpreadOptions,
    collection: CollectionsOption = None,
    chat: ChatOption = "none",
    host: Annotated[
        str, typer.Option("--host", help="What to listen on; other than this machine needs VLM2VEC_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 7860,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A name it is reached by, as behind a proxy.")
    ] = None,
    allow_folder: AllowFolderOption = None,
    allow_write: Annotated[bool, typer.Option("--allow-write", help="Let agents index and remove.")] = False,
    max_upload_mb: Annotated[int, typer.Option("--max-upload-mb", min=1, help="Largest file that is taken.")] = 1000,
    uploads_gb: Annotated[float, typer.Option("--uploads-gb", min=0.001, help="Room for all uploads together.")] = 20.0,
) -> None:
    """Serve pages, an API and agents' tools. Programs and people need the token in VLM2VEC_TOKEN, where one is set."""
    from vlm2vec_rag.extras import require
    from vlm2vec_rag.serve import ServeSettings

    settings = ServeSettings(
        host=host,
        port=port,
        token=os.environ.get("VLM2VEC_TOKEN") or None,
        allowed_hosts=tuple(allow_host or ()),
        allowed_folders=tuple(allow_folder or ()),
        allow_write=allow_write,
        max_file_bytes=max_upload_mb * 1_000_000,
        upload_budget_bytes=int(uploads_gb * 1e9),
    )
    require("uvicorn", "serve")
    require("fastapi", "serve")
    from vlm2vec_rag.serve.run import run

    with opened(collection, model, chat, settings, **spread.spread) as served:
        asks = " (sign in with VLM2VEC_TOKEN)" if settings.token else ""
        shown = f"[{host}]" if ":" in host else host
        note(f"serving {', '.join(each.name for each in served)} at http://{shown}:{port}{asks}; Ctrl-C ends it")
        run(served, settings)


@contextmanager
def opened(
    collections: list[str] | None, model: ModelOptions, chat: str, settings: ServeSettings, **made_with: Any
) -> Iterator[list[Served]]:
    """The libraries to serve, each made with `made_with` if it is not there; closed at the end."""
    from vlm2vec_rag.chat import open_chat_model
    from vlm2vec_rag.library import open_library
    from vlm2vec_rag.serve.served import Served

    given = collections or [os.environ.get("VLM2VEC_COLLECTION") or os.environ.get("QDRANT_URL") or str(DEFAULT_FOLDER)]
    places = [placed(each) for each in given]
    names = [name for name, _, _ in places]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(f"two collections would be called {twice[0]!r}; name them: --collection NAME=PLACE")
    with ExitStack() as stack:
        served = []
        for name, place, inside in places:
            library = stack.enter_context(open_library(place, name=inside, create=True, **model.settings, **made_with))
            tell_spread(library)
            encoder = library.encoder if chat.startswith("local") else None
            served.append(Served(name, library, settings, chat_model=open_chat_model(chat, encoder=encoder)))
            # the first question should not wait for the model
            threading.Thread(target=_load, args=(library,), name="vlm2vec-warm-up", daemon=True).start()
        yield served


def placed(given: str) -> tuple[str, str, str]:
    """`NAME=PLACE` as the name clients use, the place, and the collection's name there.

    A place is a folder, or a server's address with the collection behind a `#`. A place without a name is called by its
    folder, or by the collection on the server.
    """
    name, equals, place = given.partition("=")
    if not equals or not re.fullmatch(r"[\w .-]+", name):
        name, place = "", given
    if not place:
        raise InvalidInput(f"--collection {given!r} has no place; expected NAME=PLACE, a folder or a server's address")
    if place.startswith(("http://", "https://")):
        address, _, inside = place.partition("#")
        return name or inside or "default", address, inside or "default"
    return name or Path(place).name.lstrip(".").removesuffix(".vlm2vec") or "default", place, "default"


def _load(library: Library) -> None:
    """Load the model ahead; an error comes again, and is told, when somebody asks."""
    with suppress(Exception):
        _ = library.encoder
