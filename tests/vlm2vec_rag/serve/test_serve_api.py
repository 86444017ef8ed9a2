"""The API: search, ask, items, sources, upload, jobs, health, in one shape of errors, over a real library."""

import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image as PILImage
from serving import run_job

from vlm2vec_rag import samples
from vlm2vec_rag.errors import CollectionError
from vlm2vec_rag.library import open_library


def events(text):
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_search_gives_the_librarys_hits_named_by_ids(client, library):
    answer = client.post(
        "/api/search", json={"query": "font sizes", "kind": ["page"], "pages": "1-2", "limit": 3}
    ).json()
    expected = library.search("font sizes", filter={"kind": "page", "pages": "1-2"}, limit=3)
    assert [each["id"] for each in answer["hits"]] == [each.id for each in expected] != []
    first = answer["hits"][0]
    assert first["place"] == f"latexsheet.pdf#page={expected[0].page}" and first["found_by"] == "words"
    assert client.get(first["links"]["image"]).headers["content-type"] == "image/jpeg"
    assert client.get(first["links"]["thumbnail"]).status_code == 200
    assert client.get(f"/api/items/{first['id']}").json()["text"] == expected[0].text
    assert (
        client.get("/api/search", params={"q": "font sizes"}).json()["hits"][0]["id"]
        == library.search("font sizes")[0].id
    )


def test_where_nothing_is_found_the_answer_says_what_to_try(client):
    answer = client.post("/api/search", json={"query": "zeppelin"}).json()
    assert answer["hits"] == [] and "Check its spelling" in answer["message"]
    assert "message" not in client.post("/api/search", json={"query": "font sizes"}).json()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"query": ""}, "empty"),
        ({"query": "x", "pages": "nine"}, "pages"),
        ({"query": "x", "since": "yesterday"}, "since"),
        ({"query": "x", "mode": "dense"}, "words only"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "kind": ["film"]}, "kind"),
        ({"query": "x", "collection": "other"}, "no collection"),
    ],
)
def test_every_error_has_one_shape(client, body, words):
    answer = client.post("/api/search", json=body)
    error = answer.json()["error"]
    assert answer.status_code in (400, 404, 422) and set(error) == {"code", "message", "type", "param"}
    assert words in error["message"], error


@pytest.mark.parametrize(
    "path", ["/api/items/none", "/api/jobs/none", "/items/none/file", "/nothing", "/api/search?q=x&collection=no"]
)
def test_what_is_not_there_is_404_in_the_same_shape(client, path):
    answer = client.get(path)
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


def test_an_unexpected_error_is_told_without_its_insides(client, library, monkeypatch):
    monkeypatch.setattr(library, "search", lambda *_, **__: 1 / 0)
    answer = client.post("/api/search", json={"query": "x"})
    assert answer.status_code == 500 and "ZeroDivisionError" in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


def test_marks_say_where_words_stand(client, find):
    hit = find("font sizes")
    boxes = client.get(f"/api/items/{hit.id}/marks", params={"q": "font sizes"}).json()["boxes"]
    assert boxes and all(0 <= each["x0"] < each["x1"] <= 1 for each in boxes)
    assert all(each["text"].lower().startswith(("font", "size")) for each in boxes)


def test_ask_without_a_model_quotes_the_best_few_and_cites_them(client):
    answer = client.post("/api/ask", json={"question": "What are the font sizes?"}).json()
    assert 1 <= len(answer["citations"]) <= 3 and answer["model"] == "" and answer["state"] == "done"
    assert answer["citations"][0]["hit"]["source"]["name"] == "latexsheet.pdf"
    after = client.post("/api/ask", json={"question": "and the tiny one?", "conversation": answer["conversation"]})
    assert after.json()["conversation"] == answer["conversation"]
    lost = client.post("/api/ask", json={"question": "x", "conversation": "gone"})
    assert lost.status_code == 404 and "begin anew" in lost.json()["error"]["message"]


def test_ask_streams_hits_then_text_then_all_of_it(client):
    text = client.post("/api/ask", json={"question": "font sizes", "stream": True}).text
    told = events(text)
    assert [told[0][0], told[-1][0]] == ["hits", "done"] and {name for name, _ in told[1:-1]} == {"text"}
    assert "".join(data["text"] for name, data in told if name == "text").strip() == told[-1][1]["text"]


def test_a_chat_model_that_fails_is_told(serving):
    class Fails:
        name, sees_images = "fails", False

        def stream(self, messages):
            yield "Half an"
            raise RuntimeError("the model is out")

    client = serving(chat_model=Fails())
    answer = client.post("/api/ask", json={"question": "font sizes"})
    assert answer.status_code == 502 and "the model is out" in answer.json()["error"]["message"]
    told = events(client.post("/api/ask", json={"question": "font sizes", "stream": True}).text)
    assert told[-1][0] == "error"
    page = client.post("/ask/stream", data={"q": "font sizes"}).text
    assert "Half an" in page and "the model is out" in page


def test_sources_are_listed_by_id_and_removed_by_it(client, library, tmp_path):
    upload = client.post("/api/upload", files={"files": ("zebra.md", b"Zebras are striped.")}).json()
    job = client.served.jobs.get(upload["job"]["id"])
    assert run_job(client.served, job).state == "done" and job.message == "1 file indexed (1 items)"
    listed = {each["name"]: each for each in client.get("/api/sources").json()["sources"]}
    zebra = listed["zebra.md"]
    assert (zebra["kind"], zebra["items"], zebra["is_complete"]) == ("text", 1, True)
    assert library.search("zebras")[0].source == (client.served.uploads.folder / "zebra.md").resolve().as_posix()
    again = client.post(f"/api/sources/{zebra['id']}/reindex")
    assert (
        again.status_code == 202
        and run_job(client.served, client.served.jobs.get(again.json()["id"])).message == "1 unchanged"
    )
    assert client.delete(f"/api/sources/{zebra['id']}").json()["removed"][0]["name"] == "zebra.md"
    assert not (client.served.uploads.folder / "zebra.md").exists() and library.search("zebras") == []
    assert client.delete(f"/api/sources/{zebra['id']}").status_code == 404


def test_everything_is_indexed_anew_as_a_job(serving, tmp_path):
    path = tmp_path / "mine.md"
    path.write_text("Okapis live in the Ituri.")
    with open_library(tmp_path / "own", model="none") as library:
        library.index(path)
        client = serving(over=library)
        answer = client.post("/api/reindex")
        assert answer.status_code == 202
        job = run_job(client.served, client.served.jobs.get(answer.json()["id"]))
        assert (job.state, job.message) == ("done", "1 file indexed (1 items)")
        [hit] = client.get("/api/search", params={"q": "okapis"}).json()["hits"]
        assert hit["place"].startswith("mine.md#")


def test_removing_a_file_that_was_not_uploaded_leaves_it(client, library, tmp_path):
    path = tmp_path / "mine.md"
    path.write_text("Okapis live in the Ituri.")
    library.index(path)
    source = client.served.source_id(library.search("okapis")[0].source)
    client.delete(f"/api/sources/{source}")
    assert path.exists() and library.search("okapis") == []


def test_a_source_whose_name_is_a_pattern_takes_no_others_along(client, library, tmp_path):
    for name in ("a*.md", "ab.md", "a?.md"):
        (tmp_path / name).write_text(f"Quaggas {name}")
    library.index([tmp_path / name for name in ("a*.md", "ab.md", "a?.md")])
    client.delete(f"/api/sources/{client.served.source_id((tmp_path / 'a*.md').as_posix())}")
    assert sorted(Path(each.source).name for each in library.search("quaggas")) == ["a?.md", "ab.md"]
    library.remove([(tmp_path / name).as_posix() for name in ("ab.md", "a?.md")])


def test_a_bad_file_is_a_line_and_the_good_ones_come_in(client):
    files = [
        ("files", ("good.md", b"Tapirs swim.")),
        ("files", ("bad.pdf", b"%PDF-1.7\nrubbish")),
        ("files", ("program", b"\x7fELF\x02\x01\x01")),
    ]
    answer = client.post("/api/upload", files=files).json()
    assert [each["is_kept"] for each in answer["files"]] == [True, True, False]
    job = run_job(client.served, client.served.jobs.get(answer["job"]["id"]))
    states = {each["name"]: each["state"] for each in client.get(f"/api/jobs/{job.id}").json()["files"]}
    assert states == {"good.md": "done", "bad.pdf": "failed"} and "1 failed" in job.message


def test_jobs_tell_how_far_they_are(client):
    upload = client.post("/api/upload", files={"files": ("heron.md", b"Herons wade.")}).json()
    told = events(client.get(f"/api/jobs/{upload['job']['id']}/events").text)
    assert told[-1][1]["state"] == "done" and told[-1][1]["share"] == 1
    assert client.get("/api/jobs").json()["jobs"][0]["id"] == upload["job"]["id"]


def test_the_same_file_twice_is_kept_once_and_another_of_its_name_beside_it(client):
    for content in (b"one", b"one", b"two"):
        client.post("/api/upload", files={"files": ("a.md", content)})
    assert sorted(each.name for each in client.served.uploads.folder.iterdir()) == ["a-2.md", "a.md"]


def test_subtitles_are_read_with_the_video_beside_them(client):
    names = ("big-buck-bunny.srt", "big-buck-bunny.mp4")
    files = [("files", (name, (samples.folder() / name).read_bytes())) for name in names]
    job = run_job(client.served, client.served.jobs.get(client.post("/api/upload", files=files).json()["job"]["id"]))
    assert [each.name for each in job.files.values()] == ["big-buck-bunny.mp4"] and job.state == "done"


def test_a_clip_is_sent_in_ranges_with_its_subtitles(client, find):
    hit = find("butterfly")
    part = client.get(f"/items/{hit.id}/file", headers={"range": "bytes=0-99"})
    assert part.status_code == 206 and len(part.content) == 100 and part.headers["content-type"] == "video/mp4"
    assert "00:00:50.000 --> 00:01:14.000" in client.get(f"/items/{hit.id}/captions.vtt").text


def test_a_page_can_be_looked_at_closely(client, find):
    hit = find("font sizes")
    sizes = []
    for zoom in ("false", "true"):
        with PILImage.open(io.BytesIO(client.get(f"/items/{hit.id}/image?zoom={zoom}").content)) as image:
            sizes.append(max(image.size))
    assert 1500 < sizes[0] < sizes[1]


def test_a_file_that_is_gone_is_said_to_be(client, find):
    hit = find("cup of coffee")
    shutil.move(hit.source, hit.source + ".away")
    try:
        answer = client.get(f"/items/{hit.id}/image")
        assert answer.status_code == 422 and "espresso.jpg" in answer.json()["error"]["message"]
        assert str(Path(hit.source).parent) not in answer.text
        assert "no longer where it was" in client.get(f"/search?open={hit.id}").text
    finally:
        shutil.move(hit.source + ".away", hit.source)


def test_health_and_what_there_is(client):
    health = client.get("/health").json()
    assert health["status"] == "ok" and "items" in health["checks"][0]["got"]
    assert {"collection default", "disk of collection default", "room for uploads"} <= {
        each["name"] for each in health["checks"]
    }
    [one] = client.get("/api/collections").json()["collections"]
    assert (one["name"], one["dim"]) == ("default", 0) and one["items"] > 0


def test_a_collection_that_does_not_answer_makes_health_fail_and_no_path_is_told(client, library, monkeypatch):
    def lost():
        raise CollectionError(f"Qdrant failed to describe the collection at {library.place}/default")

    monkeypatch.setattr(library.collection, "info", lost)
    health = client.get("/health")
    assert health.status_code == 503 and health.json()["status"] == "fault"
    assert "failed to describe" in health.json()["checks"][0]["got"] and str(library.place) not in health.text


def test_the_manual_names_every_call(client):
    manual = client.get("/docs", headers={"accept": "text/html"}).text
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        assert path in manual and all(method.upper() in manual for method in methods)


def test_a_folder_of_this_machine_is_indexed_only_where_it_was_allowed(serving, library, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "ibis.md").write_text("An ibis probes the mud.")
    client = serving(allowed_folders=(allowed,))
    assert "allowed" in client.get("/library").text and "A folder of this machine" not in serving().get("/library").text
    for folder in ("1", "-1", str(allowed), "/etc", "٣"):
        assert client.post("/library/folder", data={"folder": folder}).status_code == 404
    client.post("/library/folder", data={"folder": "0"})
    assert run_job(client.served, client.served.jobs.all()[0]).state == "done"
    assert library.search("ibis")[0].source.endswith("ibis.md")
    library.remove([library.search("ibis")[0].source])


def test_two_libraries_are_told_apart_by_name(library, tmp_path):
    from starlette.testclient import TestClient

    from vlm2vec_rag.library import open_library
    from vlm2vec_rag.serve.app import build_app
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings

    settings = ServeSettings()
    (tmp_path / "emu.md").write_text("Emus run.")
    with open_library(":memory:", model="none") as other:
        other.index(tmp_path / "emu.md")
        both = [Served("first", library, settings), Served("second", other, settings)]
        with TestClient(build_app(both, settings), base_url="http://127.0.0.1:7860") as client:
            assert client.get("/api/search", params={"q": "emus"}).json()["hits"] == []
            [hit] = client.get("/api/search", params={"q": "emus", "collection": "second"}).json()["hits"]
            assert client.get(f"/api/items/{hit['id']}").status_code == 404
            page = client.get("/search", params={"q": "emus", "collection": "second"}).text
            assert "emu." in page and "<option selected>second" in page.replace("\n", "")
        for each in both:
            each.close()
