"""`serve`: the web app over a collection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vlm2vec_rag.cli.console import note
from vlm2vec_rag.cli.options import LibraryOptions, with_options


@with_options
def serve_command(
    which: LibraryOptions,
    chat: Annotated[
        str,
        typer.Option("--chat", help="Who answers: 'openai:gpt-4o' and the like, 'local', or 'none' for quotations."),
    ] = "none",
    host: Annotated[
        str, typer.Option("--host", help="What to listen on; other than this machine needs a password.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option("--port")] = 7860,
    max_upload_mb: Annotated[int, typer.Option("--max-upload-mb", min=1, help="Largest file that is taken.")] = 1000,
) -> None:
    """Serve the web app: search, chat, and fill the collection. The password is read from VLM2VEC_PASSWORD."""
    from vlm2vec_rag.chat import open_chat_model
    from vlm2vec_rag.extras import require
    from vlm2vec_rag.web.guard import USER, check_binding
    from vlm2vec_rag.web.serve import serve

    password = os.environ.get("VLM2VEC_PASSWORD") or None
    check_binding(host, password)
    require("gradio", "web")
    uploads = which.collection / "uploads" if which.qdrant is None else Path("vlm2vec-uploads")
    with which.open(create=True) as library:
        chat_model = open_chat_model(chat, encoder=library.encoder)
        asks = f" (user {USER}, password from VLM2VEC_PASSWORD)" if password else ""
        note(f"serving {which.place} at http://{host}:{port}{asks}; Ctrl-C ends it")
        serve(
            library.collection,
            library.encoder,
            thumbnails=library.thumbnails,  # type: ignore[arg-type]
            uploads=uploads,
            chat_model=chat_model,
            host=host,
            port=port,
            password=password,
            upload_bytes=max_upload_mb * 1_000_000,
        )
