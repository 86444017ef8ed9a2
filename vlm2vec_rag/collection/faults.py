"""What went wrong between here and a Qdrant server, in words that say what to do."""

from __future__ import annotations

import json
import re

import httpx
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

API_KEY_VARIABLE = "QDRANT_API_KEY"

SPEAKS_TLS = "what answers is not plain HTTP but speaks TLS; write https://"

_HTTP = httpx.codes
_TOO_LARGE = "larger than allowed"  # a server says it with 400, a proxy with 413
_NO_SPACE = "No space left"
_UNINDEXED = re.compile(
    r'Index required but not found for "(?P<field>.+?)" of one of the following types: \[(?P<types>[^\]]*)\]'
)
_METADATA = "metadata."


def reason(error: Exception, *, has_key: bool, timeout_s: float) -> str:
    """Why a request failed, and what helps."""
    if isinstance(error, ResponseHandlingException):
        return _of_transport(error.source, timeout_s)
    if isinstance(error, UnexpectedResponse):
        return _of_response(error, has_key=has_key)
    if isinstance(error, ResourceExhaustedResponse):
        return f"the server asks for less ({error}); try again later, or raise its limits"
    return str(error)


def said(error: Exception) -> str:
    """What a server said with an error status: the text of Qdrant's JSON, or plain text."""
    if not isinstance(error, UnexpectedResponse):
        return ""
    try:
        return str(json.loads(error.content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return error.content[:300].decode("utf-8", "replace").strip()


def is_copy_missing(error: Exception) -> bool:
    """Whether `consistency=all` could not be had because a copy is on a node that is down."""
    return "read operations failed" in said(error)


def _of_transport(source: Exception, timeout_s: float) -> str:
    text = str(source)
    if isinstance(source, httpx.TimeoutException) and not isinstance(source, httpx.ConnectTimeout):
        return f"no answer within {timeout_s:g} s; raise timeout_s, or look at the server's load"
    if encryption := _of_encryption(text):
        return encryption
    if isinstance(source, httpx.TransportError):
        return _away(text or "no connection in time")
    return f"its answer cannot be read: {source}; is this a Qdrant server?"


def _of_encryption(text: str) -> str:
    """What is wrong where one side speaks TLS; empty when that is not it."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = re.search(r"certificate verify failed: ([^(]+)", text)
        return (
            f"its certificate cannot be checked ({why[1].strip() if why else text}); give ca_cert the file of the "
            "authority that signed it, or set SSL_CERT_FILE to it, and use the host name that the certificate is for"
        )
    if "SSL" in text:
        return f"it does not speak TLS there ({text}); write http:// if that is meant, or check the port"
    if "illegal request line" in text or "illegal status line" in text:
        return f"{SPEAKS_TLS} ({text})"
    return ""


def _away(text: str) -> str:
    return (
        f"nothing answers ({text}); check the address and that the server runs, "
        "for example: docker run -p 6333:6333 qdrant/qdrant"
    )


def _of_response(error: UnexpectedResponse, *, has_key: bool) -> str:
    status, text = error.status_code, said(error)
    if status in (_HTTP.UNAUTHORIZED, _HTTP.FORBIDDEN):
        return _refused(status, text, has_key=has_key)
    if status == _HTTP.REQUEST_ENTITY_TOO_LARGE or _TOO_LARGE in text:
        return (
            f"the request is too large for it or for a proxy before it; raise the limit there (HTTP {status}, {text})"
        )
    if status == _HTTP.INSUFFICIENT_STORAGE or _NO_SPACE in text:
        return (
            f"the server's disk is full (HTTP {status}, {text}); searches go on and nothing is lost: make room on it "
            "or give it a larger volume, and run the same again"
        )
    if unindexed := _UNINDEXED.search(text):
        return _without_index(unindexed["field"], unindexed["types"])
    if status == _HTTP.TOO_MANY_REQUESTS:
        return f"the server asks for less ({text}); try again later, or raise its limits"
    return f"HTTP {status}, {text}"


def _refused(status: int, text: str, *, has_key: bool) -> str:
    if "ExpiredSignature" in text:
        return f"the token has expired (HTTP {status}); give api_key, or set {API_KEY_VARIABLE}, to a new one"
    if status == _HTTP.FORBIDDEN:
        return (
            f"the API key may not do this (HTTP {status}, {text}); give api_key, or set {API_KEY_VARIABLE}, to one "
            "with that right"
        )
    given = "the API key was refused" if has_key else "it wants an API key"
    return f"{given} (HTTP {status}, {text}); give api_key, or set {API_KEY_VARIABLE}, to a key that may do this"


def _without_index(field: str, types: str) -> str:
    """Strict mode filters by indexed fields only; the ones of one's own need to be named."""
    if not field.startswith(_METADATA):
        return (
            f"the field {field!r} has no payload index of a type in [{types}], and this server filters by indexed "
            "fields only (strict mode); open the collection once with a key that may write, which makes it"
        )
    name = field.removeprefix(_METADATA)
    kind = types.rsplit(",", maxsplit=1)[-1].strip()
    return (
        f"the field {name!r} of metadata has no payload index ({types}), and this server filters by indexed fields "
        f"only (strict mode); make one: open_collection(..., indexed={{{name!r}: {kind!r}}}), or "
        f"vlm2vec-rag reindex --index-field {name}={kind}"
    )
