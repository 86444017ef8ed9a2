"""Faults are told as they are: what went wrong between here and a server, and what helps."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_qdrant import CUT, FakeQdrant, Fault, unused_port
from points_and_places import FINGERPRINT, page

from vlm2vec_rag.collection import Collection, open_collection
from vlm2vec_rag.collection.retry import RetryPolicy
from vlm2vec_rag.errors import CollectionError, InvalidInput


@pytest.fixture
def collection(fake: FakeQdrant) -> Iterator[Collection]:
    with open_collection(fake.url, fingerprint=FINGERPRINT, timeout_s=1) as collection:
        collection.client.http.client._client._transport.policy = RetryPolicy(times=0)
        yield collection


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(413), r"the request is too large for it or for a proxy before it; raise the limit there \(HTTP 413"),
        (
            Fault(400, text="JSON payload (34000181 bytes) is larger than allowed (limit: 33554432 bytes)."),
            r"the request is too large .*limit: 33554432 bytes",
        ),
        (
            Fault(500, text="Service internal error: No space left on device: WAL"),
            r"the server's disk is full .*make room",
        ),
        (Fault(507), r"the server's disk is full \(HTTP 507"),
        (Fault(429), r"the server asks for less .*raise its limits"),
        (Fault(503), r"HTTP 503, injected 503"),
        (Fault(400, text="Wrong input: something"), r"HTTP 400, Wrong input: something"),
        (CUT, r"nothing answers \(.*\); check the address and that the server runs"),
        (Fault(wait_s=1.6), r"no answer within 1 s; raise timeout_s, or look at the server's load"),
    ],
)
def test_a_fault_says_what_helps(collection: Collection, fake: FakeQdrant, fault: Any, told: str) -> None:
    fake.fail(fault, *([CUT] if fault == CUT else []))
    with pytest.raises(CollectionError, match=rf"cannot write points at {fake.url}: {told}"):
        collection.upsert([page(1)])


def test_a_body_above_a_servers_limit_is_told_as_recorded(collection: Collection) -> None:
    with pytest.raises(CollectionError, match=r"the request is too large .*larger than allowed"):
        collection.upsert([page(1, "x" * 34_000_000)])


def test_a_wrong_address_is_told_without_asking_again(caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(CollectionError, match=rf"cannot connect at {url}: nothing answers \(.*\); check the address"):
        open_collection(url, fingerprint=FINGERPRINT)
    assert "asking again" not in caplog.text


@pytest.mark.parametrize("answer", [["some other server"], {"title": "no version"}, "welcome", {"version": 3}])
def test_what_is_no_qdrant_is_told(answer: Any) -> None:
    with FakeQdrant() as fake:
        fake.answer = lambda *_: answer  # type: ignore[method-assign]
        with pytest.raises(CollectionError, match=r"is this a Qdrant server\?"):
            open_collection(fake.url, fingerprint=FINGERPRINT)


def test_a_server_too_old_to_keep_a_fingerprint_is_refused() -> None:
    with (
        FakeQdrant(version="1.15.4") as fake,
        pytest.raises(CollectionError, match=r"is version 1\.15; 1\.16 or later is needed, update the server"),
    ):
        open_collection(fake.url, fingerprint=FINGERPRINT)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[FakeQdrant]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with FakeQdrant(api_key="full", tls=context) as fake:
        yield fake


def test_a_certificate_that_cannot_be_checked_is_told(secure: FakeQdrant) -> None:
    with pytest.raises(
        CollectionError, match=r"its certificate cannot be checked \(self.signed.*\); give ca_cert .*SSL_CERT_FILE"
    ):
        open_collection(secure.url, fingerprint=FINGERPRINT, api_key="full")


def test_a_certificate_of_ones_own_is_trusted_when_it_is_given(
    secure: FakeQdrant, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_collection(secure.url, fingerprint=FINGERPRINT, api_key="full", ca_cert=certificate[0]) as collection:
        collection.upsert([page(1)])
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with open_collection(secure.url, fingerprint=FINGERPRINT, api_key="full") as collection:
        assert collection.count() == 1


async def test_the_asynchronous_client_trusts_it_as_well(secure: FakeQdrant, certificate: tuple[Path, Path]) -> None:
    with open_collection(secure.url, fingerprint=FINGERPRINT, api_key="full", ca_cert=certificate[0]) as collection:
        aclient = collection.aclient
        assert (await aclient.count(collection.name)).count == 0
        await aclient.close()


def test_a_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(InvalidInput, match=r"ca_cert '.*' holds no certificate that can be read"):
            open_collection("https://127.0.0.1:1", fingerprint=FINGERPRINT, ca_cert=path)
    with pytest.raises(InvalidInput, match="ca_cert settings are for a server"):
        open_collection(tmp_path / "folder", fingerprint=FINGERPRINT, ca_cert=tmp_path / "ca.pem")


def test_http_towards_tls_and_https_towards_http_are_told(secure: FakeQdrant, fake: FakeQdrant) -> None:
    with pytest.raises(CollectionError, match="not plain HTTP but speaks TLS; write https://"):
        open_collection(secure.url.replace("https", "http"), fingerprint=FINGERPRINT)
    with pytest.raises(CollectionError, match=r"it does not speak TLS there .*write http:// if that is meant"):
        open_collection(fake.url.replace("http", "https"), fingerprint=FINGERPRINT)
