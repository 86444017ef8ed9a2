"""`serve`: the web app over a collection."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from vlm2vec_rag.cli import options
from vlm2vec_rag.cli.console import note
from vlm2vec_rag.cli.index import open_for_indexing
from vlm2vec_rag.cli.options import ModelChoice, Place


def serve_command(
    folder: options.FolderOption = options.DEFAULT_FOLDER,
    qdrant: options.QdrantOption = None,
    name: options.NameOption = "default",
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
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
    place = Place(folder=folder, qdrant=qdrant, name=name)
    choice = ModelChoice(model=model, adapter=adapter, device=device, dtype=dtype)
    collection, encoder = open_for_indexing(place, choice)
    with collection:
        chat_model = open_chat_model(chat, encoder=encoder)
        asks = f" (user {USER}, password from VLM2VEC_PASSWORD)" if password else ""
        note(f"serving {place.location} at http://{host}:{port}{asks}; Ctrl-C ends it")
        serve(
            collection,
            encoder,
            thumbnails=place.thumbnails,
            uploads=place.uploads,
            chat_model=chat_model,
            host=host,
            port=port,
            password=password,
            upload_bytes=max_upload_mb * 1_000_000,
        )
