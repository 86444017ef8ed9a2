"""Errors of the API in one shape, which OpenAI's clients read: {"error": {"code", "message", "type", "param"}}."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.errors import (
    ChatError,
    CollectionError,
    CollectionLocked,
    EmptyInput,
    InvalidInput,
    MediaError,
    MediaLimit,
    MissingExtra,
    ModelNotFound,
    VlmRagError,
)
from vlm2vec_rag.serve.jobs import shown_reason

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)


class NotFound(VlmRagError, LookupError):
    """No item, source, job or collection has this id."""


_STATUS: tuple[tuple[type[VlmRagError], int, str], ...] = (
    (NotFound, 404, "not_found"),
    (EmptyInput, 400, "empty_input"),
    (MediaLimit, 413, "too_large"),
    (MediaError, 422, "unreadable"),
    (CollectionLocked, 503, "locked"),
    (MissingExtra, 501, "not_installed"),
    (ModelNotFound, 503, "model_not_found"),
    (CollectionError, 503, "collection"),
    (ChatError, 502, "chat_model"),
    (InvalidInput, 400, "invalid_input"),
)


def body(code: str, message: str, status: int, param: str | None = None) -> dict[str, Any]:
    """An error as every client gets it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"code": code, "message": message, "type": kind, "param": param}}


def status_of(error: VlmRagError) -> tuple[int, str]:
    """Status and code of an error of the library."""
    return next(((status, code) for kind, status, code in _STATUS if isinstance(error, kind)), (400, "refused"))


def add_error_handlers(app: FastAPI) -> None:
    """Turn every error into an answer: JSON for programs, a line on the page for people."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import HTMLResponse, JSONResponse

    from vlm2vec_rag.serve.rendering import render

    def answer(request: Request, status: int, code: str, message: str, param: str | None = None) -> Response:
        accepts = request.headers.get("accept", "")
        if request.headers.get("hx-request"):
            # a line in the place that pages keep for such news; what they show stays
            headers = {"HX-Retarget": "#news", "HX-Reswap": "innerHTML"}
            return HTMLResponse(render("_news.html", message=message), status, headers)
        if "text/html" in accepts and "application/json" not in accepts:
            return HTMLResponse(render("error.html", message=message, status=status), status)
        return JSONResponse(body(code, message, status, param), status)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, VlmRagError)  # noqa: S101  what it is registered for
        status, code = status_of(error)
        return answer(request, status, code, shown_reason(str(error)))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        first = error.errors()[0]
        param = ".".join(str(each) for each in first["loc"] if each != "body")
        return answer(request, 422, "invalid_request", f"{param or 'the request'}: {first['msg']}", param or None)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        message = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
        return answer(request, error.status_code, code, message)

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("%s %s ended with an unexpected error", request.method, request.url.path, exc_info=error)
        message = f"an unexpected error: {type(error).__name__}; the server's log says more"
        return answer(request, 500, "unexpected", message)

    app.add_exception_handler(VlmRagError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)
