"""Clients of servers over a real library, in this process by their ASGI app."""

import contextlib
import shutil

import pytest
from serving import EVIL, LOCAL

from vlm2vec_rag import samples
from vlm2vec_rag.library import open_library
from vlm2vec_rag.serve.app import build_app
from vlm2vec_rag.serve.served import Served
from vlm2vec_rag.serve.settings import ServeSettings


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Words over a PDF, an image, a film, and a file whose name and words are markup."""
    folder = tmp_path_factory.mktemp("library")
    files = folder / "files"
    files.mkdir()
    for name in ("latexsheet.pdf", "espresso.jpg", "big-buck-bunny.mp4", "big-buck-bunny.srt"):
        shutil.copy(samples.folder() / name, files)
    (files / "<b onclick=alert(9)>evil.md").write_text(EVIL)
    with open_library(folder / "collection", model="none") as library:
        report = library.index(files)
        assert not report.failures
        yield library


@pytest.fixture
def serving(library, tmp_path):
    """Makes a client of a server over the library, with settings of one's own. The base address is this machine's."""
    from starlette.testclient import TestClient

    with contextlib.ExitStack() as stack:

        def serve(*, chat_model=None, over=library, base=LOCAL, **settings):
            made = ServeSettings(**settings)
            served = Served("default", over, made, chat_model=chat_model, uploads=tmp_path / "uploads")
            stack.callback(served.close)
            client = TestClient(build_app([served], made), base_url=base, raise_server_exceptions=False)
            stack.enter_context(client)
            client.served = served
            return client

        yield serve


@pytest.fixture
def client(serving):
    """A client of a server for this machine alone."""
    return serving()


@pytest.fixture
def find(library):
    """The best hit for some words."""

    def find(words):
        return library.search(words, limit=1)[0]

    return find
