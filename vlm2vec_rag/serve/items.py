"""The pixels and files of items, by id. A file leaves as what its content is, and never as something that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from starlette.responses import FileResponse, Response

from vlm2vec_rag.errors import UnreadableMedia, VlmRagError
from vlm2vec_rag.serve.errors import NotFound

if TYPE_CHECKING:
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.shelf import Shelf

# what a browser shows by itself and cannot run; everything else is offered as a download
SHOWN = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "mp4": "video/mp4",
    "matroska": "video/webm",
    "ogg": "video/ogg",
    "text": "text/plain; charset=utf-8",
    "markdown": "text/plain; charset=utf-8",
}
# a PDF's own viewer draws with styles; nothing that a file holds may load or run anything
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; object-src 'self'"
KEEP = "private, max-age=300"

Collection = Annotated[str, Query(description="Which collection; the first one where it is left out.")]


def item_routes(shelf: Shelf) -> APIRouter:
    """`/items/ID/image`, `/thumbnail`, `/file` and `/captions.vtt`."""
    router = APIRouter(tags=["items"])

    def found(item_id: str, collection: str) -> tuple[Served, Hit]:
        served = shelf.get(collection)
        hit = served.hit(item_id)
        if hit is None:
            raise NotFound("this item is not in the collection, or no longer")
        return served, hit

    def image(item_id: str, collection: Collection = "", zoom: bool = False) -> Response:
        """A page or an image as JPEG, large; `zoom` for looking closely."""
        served, hit = found(item_id, collection)
        pixels = served.pixels(hit, zoomed=zoom)
        if pixels is None:
            raise NotFound("this item has no image")
        return Response(pixels, media_type="image/jpeg", headers={"Cache-Control": KEEP})

    def thumbnail(item_id: str, collection: Collection = "") -> Response:
        """A small JPEG of a page, an image, or the middle of a clip."""
        served, hit = found(item_id, collection)
        if hit.thumbnail is not None:
            return FileResponse(hit.thumbnail, media_type="image/jpeg", headers={"Cache-Control": KEEP})
        pixels = served.pixels(hit)
        if pixels is None:
            raise NotFound("this item has no image")
        return Response(pixels, media_type="image/jpeg", headers={"Cache-Control": KEEP})

    def file(item_id: str, collection: Collection = "") -> Response:
        """The whole file that an item is from; a player or viewer asks for parts of it."""
        from vlm2vec_rag.media.sniff import sniff

        _, hit = found(item_id, collection)
        path = Path(hit.source)
        if not path.is_file():
            raise UnreadableMedia(f"{path.name} is no longer where it was indexed")
        try:
            kind = SHOWN.get(sniff(path).format)
        except VlmRagError:  # it was replaced by something that is not read
            kind = None
        return FileResponse(
            path,
            media_type=kind or "application/octet-stream",
            filename=path.name,
            content_disposition_type="inline" if kind else "attachment",
            headers={"Content-Security-Policy": FILE_POLICY, "Cache-Control": "private, no-cache"},
        )

    def captions(item_id: str, collection: Collection = "") -> Response:
        """What is said during a clip, for its player."""
        _, hit = found(item_id, collection)
        if hit.kind != "clip":
            raise NotFound("this item is no clip")
        return Response(web_vtt(hit), media_type="text/vtt; charset=utf-8", headers={"Cache-Control": KEEP})

    for path, handler in (("image", image), ("thumbnail", thumbnail), ("file", file), ("captions.vtt", captions)):
        router.add_api_route(f"/items/{{item_id}}/{path}", handler, methods=["GET"], response_class=Response)
    return router


def web_vtt(hit: Hit) -> str:
    """The text of a clip as one cue; markup in it is text, and nothing in it can end the cue."""
    text = " ".join(hit.text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if not text:
        return "WEBVTT\n"
    return f"WEBVTT\n\n{_vtt_time(hit.start_s or 0.0)} --> {_vtt_time(hit.end_s or 0.0)}\n{text}\n"


def _vtt_time(time_s: float) -> str:
    minutes, rest = divmod(time_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02}:{minutes:02}:{rest:06.3f}"
