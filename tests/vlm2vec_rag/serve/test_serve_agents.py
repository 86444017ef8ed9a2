"""Agents over the official client: the tools in memory, at /mcp over HTTP behind the door, and over standard input."""

import base64
import io
import json
import sys
import threading

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image as PILImage
from serving import TOKEN, free_port

from vlm2vec_rag.serve.agents import agent_server
from vlm2vec_rag.serve.app import build_app
from vlm2vec_rag.serve.served import Served
from vlm2vec_rag.serve.settings import ServeSettings
from vlm2vec_rag.serve.shelf import Shelf

READS = {"search", "ask", "open_page", "list_sources"}
WRITES = {"remove_source", "reindex_source", "index_folder", "list_folders", "job_status"}


@pytest.fixture
def served(library, tmp_path):
    served = Served("default", library, ServeSettings(allowed_folders=(tmp_path,)), uploads=tmp_path / "uploads")
    yield served
    served.close()


async def call(client, tool, **arguments):
    """What a tool answers, as JSON."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return json.loads(answer.content[0].text)


async def test_search_then_open_the_page(served, library):
    async with Client(agent_server(Shelf([served]))) as client:
        hits = (await call(client, "search", query="font sizes", kind=["page"], limit=2))["hits"]
        expected = library.search("font sizes", filter={"kind": "page"}, limit=2)
        assert [each["id"] for each in hits] == [each.id for each in expected]
        opened = await client.call_tool("open_page", {"id": hits[0]["id"]})
        text, image = opened.content
        assert expected[0].text[:40].split()[0] in text.text and image.mime_type == "image/jpeg"
        with PILImage.open(io.BytesIO(base64.b64decode(image.data))) as shown:
            assert max(shown.size) > 1000
        [film] = (await call(client, "search", query="butterfly", limit=1))["hits"]
        assert len((await client.call_tool("open_page", {"id": film["id"]})).content) == 5  # words and four frames


async def test_ask_and_list(served):
    async with Client(agent_server(Shelf([served]))) as client:
        answer = await call(client, "ask", question="What are the font sizes?")
        assert answer["is_quotation"] and answer["citations"][0]["place"].startswith("latexsheet.pdf#page=")
        listed = await call(client, "list_sources")
        assert {"latexsheet.pdf", "espresso.jpg"} <= {each["name"] for each in listed["sources"]}
        assert str(served.library.place) not in json.dumps(listed)


@pytest.mark.parametrize("item", ["/etc/passwd", "file:///etc/passwd", "../../etc/passwd", ""])
async def test_a_path_is_no_id(served, item):
    async with Client(agent_server(Shelf([served]))) as client:
        answer = await client.call_tool("open_page", {"id": item})
        assert answer.is_error and "root:" not in str(answer.content) and "no item" in answer.content[0].text


async def test_an_agent_only_reads_unless_it_may_write(served, library, tmp_path):
    async with Client(agent_server(Shelf([served]))) as client:
        tools = (await client.list_tools()).tools
        assert {each.name for each in tools} == READS and all(each.annotations.read_only_hint for each in tools)
    (tmp_path / "yak.md").write_text("A yak has long hair.")
    async with Client(agent_server(Shelf([served]), allow_write=True)) as client:
        assert {each.name for each in (await client.list_tools()).tools} == READS | WRITES
        job = await call(client, "index_folder", number=0)
        while (await call(client, "job_status", job_id=job["id"]))["state"] in ("waiting", "running"):
            pass
        [hit] = (await call(client, "search", query="yak"))["hits"]
        refused = await client.call_tool("index_folder", {"number": 1})
        assert refused.is_error and "list_folders" in refused.content[0].text
        await call(client, "remove_source", source_id=hit["source_id"])
        assert (await call(client, "search", query="yak"))["hits"] == []


async def test_over_http_behind_the_door(library, tmp_path):
    import httpx2
    import uvicorn

    port = free_port()
    settings = ServeSettings(port=port, token=TOKEN)
    served = Served("default", library, settings, uploads=tmp_path)
    server = uvicorn.Server(uvicorn.Config(build_app([served], settings), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
    address = f"http://127.0.0.1:{port}/mcp"
    try:
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}, timeout=60) as http:
            assert (await http.post(address, headers={"origin": "http://evil.example"}, json={})).status_code == 403
            async with Client(streamable_http_client(address, http_client=http)) as client:
                assert (await call(client, "search", query="font sizes", limit=1))["hits"][0]["kind"] == "page"
        async with httpx2.AsyncClient() as http:
            assert (await http.post(address, json={})).status_code == 401
    finally:
        server.should_exit = True
        thread.join()
        served.close()


@pytest.mark.slow
async def test_over_standard_input(library, tmp_path):
    (tmp_path / "gnu.md").write_text("A gnu grazes.")
    place = tmp_path / "collection"
    from vlm2vec_rag.library import open_library

    with open_library(place, model="none") as made:
        made.index(tmp_path / "gnu.md")
    command = ["-c", "from vlm2vec_rag.cli import main; main()", "mcp", "-c", str(place)]
    async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=command))) as client:
        assert (await call(client, "search", query="gnu"))["hits"][0]["place"].startswith("gnu.md")
