"""The app serves this machine alone, or asks for a password; a name made to point here is sent away."""

import base64

import pytest

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.web.guard import USER, Guard, check_binding


async def ask(guard, headers, kind="http"):
    sent = []

    async def send(message):
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await guard({"type": kind, "headers": pairs}, None, send)
    return sent[0]["status"]


async def inside(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:80", "[::1]:7860", "[::1]"])
async def test_this_machine_is_let_in(host):
    assert await ask(Guard(inside, password=None), {"host": host}) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "192.168.1.5:7860", ""])
async def test_another_name_is_sent_away(host):
    assert await ask(Guard(inside, password=None), {"host": host}) == 403


async def test_with_a_password_only_who_knows_it_is_let_in():
    guard = Guard(inside, password="correct horse")
    assert await ask(guard, {"authorization": basic(USER, "correct horse")}) == 200
    for header in (basic(USER, "wrong horse"), basic("root", "correct horse"), "Basic ???", "Bearer x", ""):
        assert await ask(guard, {"authorization": header}) == 401
        assert await ask(guard, {"authorization": header}, kind="websocket") == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])
def test_an_open_address_needs_a_password(host):
    with pytest.raises(InvalidInput, match="VLM2VEC_PASSWORD"):
        check_binding(host, None)
    check_binding(host, "long enough")


def test_a_short_password_is_none():
    with pytest.raises(InvalidInput, match="3 characters"):
        check_binding("127.0.0.1", "abc")
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_binding(host, None)
