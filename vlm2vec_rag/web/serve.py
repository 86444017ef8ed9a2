"""Put the app together and serve it until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vlm2vec_rag.extras import require
from vlm2vec_rag.web.guard import Guard, check_binding
from vlm2vec_rag.web.library import Library

if TYPE_CHECKING:
    from vlm2vec_rag.chat import ChatModel
    from vlm2vec_rag.collection import Collection
    from vlm2vec_rag.encoder import Encoder
    from vlm2vec_rag.thumbnails import Thumbnails
    from vlm2vec_rag.web.download import DownloadLimits
    from vlm2vec_rag.web.guard import App

HOST, PORT = "127.0.0.1", 7860
UPLOAD_BYTES = 1_000_000_000  # of one file


def serve(
    collection: Collection,
    encoder: Encoder | None = None,
    *,
    thumbnails: Thumbnails,
    uploads: Path,
    chat_model: ChatModel | None = None,
    host: str = HOST,
    port: int = PORT,
    password: str | None = None,
    upload_bytes: int = UPLOAD_BYTES,
    downloads: DownloadLimits | None = None,
) -> None:
    """Serve a collection in the browser until interrupted.

    Args:
        collection: An open collection.
        encoder: The one it was built with; None searches by words only.
        thumbnails: Where small images are kept.
        uploads: Where uploaded and downloaded files are kept.
        chat_model: From `open_chat_model`; None answers with quotations.
        host: What to listen on. Anything but this machine alone needs a password.
        port: Of the app.
        password: Asked for by the browser, for user `vlm2vec`. Sent in the clear: put TLS before it on a network.
        upload_bytes: Largest file that is taken.
        downloads: What may be fetched by address; None takes the defaults.

    Raises:
        InvalidInput: The address is not local and there is no password.
        MissingExtra: Gradio is not installed.
    """
    check_binding(host, password)
    require("gradio", "web")
    import uvicorn

    library = Library(collection, encoder, thumbnails, uploads, chat_model)
    try:
        app = build(library, password=password, upload_bytes=upload_bytes, downloads=downloads)
        # open tabs hold their connections: an interrupt does not wait for them to be closed
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)
    finally:
        library.close()


def build(
    library: Library,
    *,
    password: str | None = None,
    upload_bytes: int = UPLOAD_BYTES,
    downloads: DownloadLimits | None = None,
) -> App:
    """The whole app behind its guard, for a server of one's own."""
    import gradio
    from fastapi import FastAPI

    from vlm2vec_rag.web.app import CSS, theme, ui
    from vlm2vec_rag.web.routes import add_routes

    api = FastAPI(title="vlm2vec-rag", docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(api, library)
    mounted: App = gradio.mount_gradio_app(
        api,
        ui(library, downloads),
        path="/",
        max_file_size=upload_bytes,
        allowed_paths=[str(library.thumbnails.folder.resolve())],
        footer_links=[],
        show_error=True,
        ssr_mode=False,
        theme=theme(),
        css=CSS,
    )
    return Guard(mounted, password=password)
