"""Routes for the pixels of hits. They take the id of an item in the collection, never a path."""

from __future__ import annotations

import io
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import MediaError
from vlm2vec_rag.web.library import Library
from vlm2vec_rag.web.pages import page_html

if TYPE_CHECKING:
    from fastapi import FastAPI

    from vlm2vec_rag.items import Hit

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # what a file says can load nothing from elsewhere and run nothing, whatever slipped through the escaping
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
}


def add_routes(app: FastAPI, library: Library) -> None:
    """Add `/view/ID`, `/hit/ID/image`, `/hit/ID/thumbnail` and `/hit/ID/video`."""
    from fastapi import HTTPException
    from fastapi.responses import FileResponse, HTMLResponse, Response

    def found(point_id: str) -> Hit:
        hit = library.hit(point_id)
        if hit is None:
            raise HTTPException(404, "this is no longer in the collection")
        return hit

    def view(point_id: str, q: str = "") -> Any:
        return HTMLResponse(page_html(found(point_id), q), headers=HEADERS)

    def image(point_id: str, q: str = "") -> Any:
        try:
            image = library.image(found(point_id), q)
        except MediaError as error:
            raise HTTPException(410, str(error)) from error
        if image is None:
            raise HTTPException(404, "this item has no image")
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=88)
        return Response(buffer.getvalue(), media_type="image/jpeg", headers=HEADERS)

    def thumbnail(point_id: str) -> Any:
        hit = found(point_id)
        if hit.thumbnail is None:
            raise HTTPException(404, "there is no small image of this item")
        return FileResponse(hit.thumbnail, headers=HEADERS)

    def video(point_id: str) -> Any:
        hit = found(point_id)
        if hit.kind != "clip":
            raise HTTPException(404, "this item is no clip")
        if not Path(hit.source).is_file():
            raise HTTPException(410, "the video is no longer where it was indexed")
        kind = mimetypes.guess_type(hit.source)[0] or "video/mp4"
        # answers range requests, so that a player jumps to its second without loading what comes before
        return FileResponse(hit.source, media_type=kind, headers=HEADERS)

    app.add_api_route("/view/{point_id}", view, methods=["GET"], response_class=HTMLResponse)
    app.add_api_route("/hit/{point_id}/image", image, methods=["GET"], response_class=Response)
    app.add_api_route("/hit/{point_id}/thumbnail", thumbnail, methods=["GET"], response_class=FileResponse)
    app.add_api_route("/hit/{point_id}/video", video, methods=["GET"], response_class=FileResponse)
