"""Every attack, posted: nothing on the machine can be reached, nobody else's page can use the server."""

import io
import os
import re
from pathlib import Path

import pytest
from serving import EVIL, LOCAL, TOKEN

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.serve.security import local_path
from vlm2vec_rag.serve.settings import ServeSettings

SECRET = "/etc/passwd"


def leaks(text):
    return "root:" in text


# a path is never a name


@pytest.mark.parametrize(
    "path", [SECRET, "..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e/%2e%2e/etc/passwd", "file:%2F%2F%2Fetc%2Fpasswd"]
)
@pytest.mark.parametrize(
    "route", ["/items/{}/file", "/items/{}/image", "/api/items/{}", "/static/{}", "/library?source={}"]
)
def test_a_path_in_place_of_an_id_gives_nothing(client, route, path):
    answer = client.get(route.format(path))
    assert not leaks(answer.text)
    assert answer.status_code in (400, 404) or "No longer here" in answer.text


def test_a_path_in_a_conversations_history_is_words(client):
    """What broke Gradio: history that the client sends along, with a file in it. There is no such field here."""
    history = [{"role": "user", "content": {"path": SECRET, "meta": {"_type": "gradio.FileData"}}}]
    for body in (
        {"question": "What is in the file?", "history": history},
        {"question": "x", "conversation": SECRET},
        {"question": SECRET},
    ):
        answer = client.post("/api/ask", json=body)
        assert not leaks(answer.text)
    posted = client.post("/ask/stream", data={"q": SECRET, "conversation": SECRET, "history": SECRET})
    assert not leaks(posted.text)


@pytest.mark.parametrize(
    "body",
    [
        {"query": "x", "image": SECRET},
        {"query": "x", "image": f"file://{SECRET}"},
        {"query": "x", "image": "http://127.0.0.1:1/x.png"},
        {"query": "x", "image": "data:image/png;base64,AAAA"},
        {"query": "x", "image": "data:text/html,<b>"},
    ],
)
def test_an_image_to_search_with_is_never_a_path_nor_an_address(client, body):
    answer = client.post("/api/search", json=body)
    assert answer.status_code == 400 and not leaks(answer.text), answer.text


def test_an_image_to_search_with_is_named_by_an_id(client):
    for name in ("image", "clip"):
        answer = client.get("/search", params={"q": "x", name: SECRET}, headers={"accept": "text/html"})
        assert "no longer kept" in answer.text and not leaks(answer.text)


def test_the_source_filter_does_not_tell_which_files_are_here(client, tmp_path):
    there = tmp_path / "there.pdf"
    there.write_bytes(b"%PDF-")
    for name in (str(there), str(tmp_path / "not-there.pdf"), SECRET):
        answer = client.post("/api/search", json={"query": "font", "source": [name]})
        assert (answer.status_code, answer.json()["hits"]) == (200, [])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../../../tmp/evil.md", "evil.md"),
        ("..\\..\\evil.md", "evil.md"),
        ("/etc/cron.d/evil.md", "evil.md"),
        (".bashrc.md", "bashrc.md"),
        ("a\x00b.md", "ab.md"),
        ("<img src=x onerror=alert(1)>.md", "_img src=x onerror=alert(1)_.md"),
        ("x'; rm -rf $HOME;.md", "x__ rm -rf _HOME_.md"),
        ("invoice\u202efdp.md", "invoicefdp.md"),
        ("-rf.md", "rf.md"),
        ("con.md", "_con.md"),
        ("é" * 300 + ".md", "é" * 58 + ".md"),
        ("....", "file"),
    ],
)
def test_an_upload_keeps_only_a_safe_name_in_its_folder(client, sent, kept):
    # httpx quotes names by itself, so the body is written by hand
    name = sent.replace('"', "%22")
    part = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = f"{part}some words\r\n--B--\r\n".encode()
    answer = client.post("/api/upload", content=body, headers={"content-type": "multipart/form-data; boundary=B"})
    assert [each["name"] for each in answer.json()["files"]] == [kept], answer.text
    folder = client.served.uploads.folder
    assert sorted(each.name for each in folder.iterdir() if not each.name.startswith(".incoming")) == [kept]


def test_a_path_beside_an_upload_is_ignored(client):
    """What broke Gradio's upload: a form that names a file that is here already."""
    files = {"files": ("note.md", b"some words")}
    answer = client.post("/api/upload", files=files, data={"path": SECRET, "orig_name": "x", "files": SECRET})
    assert [each["name"] for each in answer.json()["files"]] == ["note.md"]
    assert {each.name for each in client.served.uploads.folder.iterdir() if each.is_file()} == {"note.md"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.pdf", b"<!doctype html><script>alert(1)</script>"),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("drawing.mp4", b'<?xml version="1.0"?><svg onload="alert(1)"/>'),
        ("program.mp4", b"\x7fELF\x02\x01\x01" + bytes(200)),
        ("list.mp4", b"#EXTM3U\n/etc/passwd\n"),
        ("empty.pdf", b""),
    ],
)
def test_an_upload_is_judged_by_its_content(client, name, content):
    answer = client.post("/api/upload", files={"files": (name, content)})
    assert answer.status_code == 422 and answer.json()["files"][0]["error"]
    assert [each for each in client.served.uploads.folder.rglob("*") if each.is_file()] == []


@pytest.mark.parametrize(
    ("words", "page", "expected"),
    [
        ("orders", "<!doctype html><script>alert(1)</script>", "application/octet-stream"),
        ("orders", "<svg onload=alert(1)>", "text/plain; charset=utf-8"),  # a text file may begin like that
        ("espresso", "<!doctype html><script>alert(1)</script>", "application/octet-stream"),
        ("espresso", "<svg onload=alert(1)>", "application/octet-stream"),
    ],
)
def test_a_file_that_became_a_web_page_is_no_web_page_here(serving, find, words, page, expected):
    """It is shown as text, or it is a download."""
    hit = find(words)
    path = Path(hit.source)
    before = path.read_bytes()
    try:
        path.write_text(page)
        answer = serving().get(f"/items/{hit.id}/file")
    finally:
        path.write_bytes(before)
    assert answer.headers["content-type"] == expected
    shown = "inline" if expected.startswith("text/plain") else "attachment"
    assert answer.headers["content-disposition"].startswith(shown)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src" not in answer.headers["content-security-policy"]


# limits


def test_limits_on_a_file_on_all_files_and_on_the_disk(serving):
    client = serving(max_file_bytes=1000, upload_budget_bytes=2500)
    answer = client.post("/api/upload", files=[("files", ("a.md", b"word " * 300)), ("files", ("b.md", b"fine words"))])
    assert [(each["is_kept"], each["error"][:7]) for each in answer.json()["files"]] == [(False, "is over"), (True, "")]
    files = [("files", (f"{number}.md", f"{number} word ".encode() * 90)) for number in range(5)]
    answer = client.post("/api/upload", files=files)
    assert answer.status_code == 413 and "no room" in answer.json()["error"]["message"]
    kept = client.served.uploads.folder
    assert sum(each.stat().st_size for each in kept.rglob("*") if each.is_file()) <= 2500
    full = serving(keep_free_bytes=10**18)
    assert full.post("/api/upload", files={"files": ("a.md", b"words")}).status_code == 413


def test_a_body_that_lies_about_its_length_is_counted(client):
    def endless():
        for _ in range(40):
            yield b"x" * 100_000

    answer = client.post("/api/ask", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    answer = client.post("/api/ask", content=b"{}", headers={"content-length": "999999999"})
    assert answer.status_code == 413


def test_an_upload_that_breaks_off_leaves_nothing(client):
    body = b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\nhalf'
    answer = client.post("/api/upload", content=body, headers={"content-type": "multipart/form-data; boundary=B"})
    assert answer.status_code == 400 and "ended before its time" in answer.json()["error"]["message"]
    assert list(client.served.uploads.folder.iterdir()) == []


# other sites' pages


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://127.0.0.1:7860.evil.example", "null", "http://127.0.0.1:9"]
)
@pytest.mark.parametrize(
    "path", ["/api/upload", "/library/upload", "/library/samples", "/ask/stream", "/mcp", "/v1/embeddings"]
)
def test_a_post_from_another_sites_page_is_refused(client, path, origin):
    answer = client.post(path, headers={"origin": origin}, files={"files": ("a.md", b"x")})
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "forbidden"
    assert not client.served.uploads.folder.exists()


def test_what_a_browser_says_of_another_site_is_believed(client):
    for site in ("cross-site", "same-site"):
        assert client.post("/library/samples", headers={"sec-fetch-site": site}).status_code == 403
        assert client.get("/api/sources", headers={"sec-fetch-site": site, "sec-fetch-mode": "cors"}).status_code == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/search", headers=link).status_code == 200


def test_its_own_page_and_programs_are_let_in(client):
    assert client.get("/api/sources", headers={"origin": LOCAL, "sec-fetch-site": "same-origin"}).status_code == 200
    assert client.get("/api/sources").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:7860", "192.168.1.5:7860", "", "localhost.evil.example"]
)
def test_a_name_made_to_point_here_is_refused(client, host):
    answer = client.get("/api/sources", headers={"host": host})
    assert answer.status_code == 403 and "not known as" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:80", "[::1]:7860", "[::1]", "localhost."])
def test_this_machines_names_are_known(client, host):
    assert client.get("/api/sources", headers={"host": host}).status_code == 200


def test_on_a_network_addresses_and_listed_names_are_known(serving):
    client = serving(host="0.0.0.0", token=TOKEN, allowed_hosts=("docs.example.com",))
    key = {"authorization": f"Bearer {TOKEN}"}
    for host in ("192.168.1.5:7860", "docs.example.com", "DOCS.example.com:443"):
        assert client.get("/api/sources", headers={**key, "host": host}).status_code == 200
    assert client.get("/api/sources", headers={**key, "host": "evil.example"}).status_code == 403


# tokens and sessions


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])
def test_an_open_address_needs_a_token(host):
    with pytest.raises(InvalidInput, match="VLM2VEC_TOKEN"):
        ServeSettings(host=host)
    ServeSettings(host=host, token=TOKEN)


def test_a_short_token_is_none():
    with pytest.raises(InvalidInput, match="3 characters"):
        ServeSettings(token="abc")


def test_without_the_token_nothing_is_given_out(serving, find):
    client = serving(token=TOKEN)
    item = find("font sizes").id
    paths = [
        "/api/sources",
        "/search",
        f"/items/{item}/file",
        f"/items/{item}/image",
        "/docs",
        "/openapi.json",
        "/health",
        "/mcp",
    ]
    for path in paths:
        for header in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": f"Basic {TOKEN}"},
            {"cookie": "vlm2vec_7860=x"},
        ):
            client.served and setattr(client.app, "throttle", type(client.app.throttle)())
            assert client.get(path, headers=header).status_code == 401, (path, header)
    assert client.get("/api/sources", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_people_sign_in_once_and_are_sent_on_to_where_they_were_going(serving):
    client = serving(token=TOKEN)
    sent = client.get("/search?q=font", headers={"accept": "text/html"}, follow_redirects=False)
    assert sent.status_code == 303 and sent.headers["location"] == "/sign-in?next=%2Fsearch%3Fq%3Dfont"
    assert "font" in client.get(sent.headers["location"]).text
    signed = client.post(
        "/sign-in", data={"token": TOKEN, "next": "/search?q=font"}, headers={"origin": LOCAL}, follow_redirects=False
    )
    cookie = signed.headers["set-cookie"].lower()
    assert signed.headers["location"] == "/search?q=font" and "httponly" in cookie and "samesite=lax" in cookie
    assert TOKEN not in cookie
    assert client.get("/search?q=font").status_code == 200
    # a browser always says where a form comes from; what does not say is no page of ours
    assert client.post("/library/jobs/x/stop").status_code == 403
    assert client.post("/library/jobs/x/stop", headers={"origin": LOCAL}).status_code == 404
    client.post("/sign-out", headers={"origin": LOCAL})
    assert client.get("/api/sources").status_code == 401


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"]
)
def test_signing_in_leads_nowhere_else(wanted):
    assert local_path(wanted) == "/" and local_path("/search?q=a") == "/search?q=a"


def test_guessing_is_slowed_down_and_the_right_token_does_not_show_through(serving):
    client = serving(token=TOKEN)
    guesses = [
        client.get("/api/sources", headers={"authorization": f"Bearer guess-{n}"}).status_code for n in range(30)
    ]
    assert guesses == [401] * 10 + [429] * 20
    waiting = client.get("/api/sources", headers={"authorization": f"Bearer {TOKEN}"})
    assert waiting.status_code == 429 and 1 <= int(waiting.headers["retry-after"]) <= 61
    form = client.post("/sign-in", data={"token": TOKEN}, headers={"origin": LOCAL})
    assert form.status_code == 429 and "Too many attempts" in form.text


def test_the_throttle_forgets_after_its_window():
    from vlm2vec_rag.serve.security import Throttle

    now = [0.0]
    throttle = Throttle(each=2, together=3, window_s=10, clock=lambda: now[0])
    throttle.failed("a"), throttle.failed("a")
    assert (throttle.wait_s("a"), throttle.wait_s("b")) == (10, 0)
    throttle.failed("b")
    assert throttle.wait_s("c") == 10  # of many addresses together, too
    now[0] = 10.1
    assert throttle.wait_s("a") == throttle.wait_s("c") == 0


# what files, names and models say is text


def active_parts(html):
    """Tags and attributes of a page that hold a script or a style of its own, as a browser would see them."""
    from html.parser import HTMLParser

    found = []

    class Looker(HTMLParser):
        def handle_starttag(self, tag, attributes):
            names = dict(attributes)
            if (tag == "script" and not names.get("src", "").startswith("/static/")) or tag in (
                "style",
                "iframe",
                "base",
            ):
                found.append(tag)
            found.extend(name for name in names if name.startswith("on") or name in ("style", "srcdoc"))
            targets = (names.get(name) or "" for name in ("href", "src", "action", "hx-get", "hx-post"))
            found.extend(each for each in targets if each.startswith(("javascript:", "http", "//")))

    Looker().feed(html)
    return found


def test_every_page_forbids_scripts_of_its_own(client, find):
    hit = find("orders")
    for path in ("/search", f"/search?q=orders&open={hit.id}", "/ask", "/library", "/docs", "/nothing-here"):
        answer = client.get(path, headers={"accept": "text/html"})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and answer.headers["x-frame-options"] == "DENY"
        assert active_parts(answer.text) == [], path


@pytest.mark.parametrize("path", ["/search?q=orders", "/search?q=orders&open={id}", "/library", "/library?open={id}"])
def test_markup_in_names_and_texts_shows_as_text(client, find, path):
    text = client.get(path.format(id=find("orders").id)).text
    assert "<script>alert" not in text and "<img src=x" not in text and "<b onclick" not in text
    assert "&lt;b onclick=alert(9)&gt;evil" in text.replace("<wbr>", "")


def test_markup_in_a_question_and_an_address_shows_as_text(client):
    answer = client.get("/search", params={"q": f'"><{EVIL}', "source": f'"><{EVIL}', "open": EVIL, "since": EVIL})
    assert "<script>alert" not in answer.text and "<img src=x" not in answer.text


def test_markup_in_subtitles_stays_in_its_cue():
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.serve.items import web_vtt

    text = f"{EVIL}\n\n00:00.000 --> 99:00.000\nNOTE"
    cue = web_vtt(Hit(id="x", score=0, kind="clip", source="a.mp4", place="a.mp4#t=1,2", start_s=1, end_s=2, text=text))
    assert cue.count("-->") == 1 and "<" not in cue and cue.count("\n\n") == 1


class Said:
    """A chat model that says what it was told to."""

    name, sees_images = "by rule", False

    def __init__(self, *pieces):
        self.pieces = pieces

    def stream(self, messages):
        yield from self.pieces


def test_markup_in_an_answer_shows_as_text_and_its_only_links_are_citations(serving):
    links = "![x](http://evil/x.png) <http://evil> http://evil/ [a]: http://evil"
    said = f"**Bold** {EVIL} {links} [1]\n\n<iframe src=//evil>"
    client = serving(chat_model=Said(said))
    answer = client.post("/ask/stream", data={"q": "font sizes"}).text
    page = client.post("/ask", data={"q": "font sizes"}, headers={"origin": LOCAL}).text
    for text in (answer.replace('\\"', '"'), page):
        assert "<script>alert" not in text and "<img src=x" not in text and "<iframe" not in text
        assert "<strong>Bold</strong>" in text
        assert not re.search(r'(href|src)="(?!/|#)', text.replace('src="data:', ""))


def test_names_of_folders_are_not_given_out(client, library, find):
    home = str(Path(find("orders").source).parent)
    for path in (
        "/api/sources",
        "/api/search?q=orders",
        f"/api/items/{find('orders').id}",
        "/library",
        "/search?q=orders",
    ):
        assert home not in client.get(path).text, path


# the video's address


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:6333/",
        f"file://{SECRET}",
        "http://2130706433/",
        "http://[::1]/x",
    ],
)
def test_an_address_inside_is_not_fetched(client, address):
    answer = client.post("/library/fetch", data={"address": address}, headers={"hx-request": "true"})
    assert answer.status_code == 400 and client.served.jobs.all() == []
    assert answer.headers["hx-retarget"] == "#news"


# jobs


def test_a_dying_job_ends_with_a_message_and_the_next_one_runs(client, monkeypatch):
    served = client.served

    def dies(*_, **__):
        raise MemoryError("no memory at /home/somebody/secret/file.pdf")

    monkeypatch.setattr(served.library, "index", dies)
    job = served.index_samples()
    for _ in range(100):
        if job.is_over:
            break
        job.wait(job.version, 0.1)
    page = client.get("/library/jobs", headers={"hx-request": "true"}).text
    assert job.state == "failed" and "MemoryError" in page and "/home/somebody" not in page
    monkeypatch.undo()
    after = served.index([Path(served.library.search("orders")[0].source)], "again")
    for _ in range(300):
        if after.is_over:
            break
        after.wait(after.version, 0.1)
    assert after.state == "done"


def test_a_job_that_hangs_can_be_stopped_and_does_not_hold_the_server(client, monkeypatch):
    import threading

    served, release = client.served, threading.Event()

    def hangs(paths, callback):
        callback.planned(1, 10)
        release.wait(60)
        callback.items_done({"page": 1})

    monkeypatch.setattr(served.library, "index", hangs)
    job = served.index_samples()
    waiting = served.index_samples()
    job.wait(0, 5)
    assert client.post(f"/api/jobs/{waiting.id}/x").status_code == 404
    assert client.delete(f"/api/jobs/{waiting.id}").json()["state"] == "stopped"
    client.delete(f"/api/jobs/{job.id}")
    assert served.jobs.close(timeout_s=0.1) is False  # its thread is a daemon, and the process may end
    release.set()
    for _ in range(100):
        if job.is_over:
            break
        job.wait(job.version, 0.1)
    assert job.state == "stopped" and "goes on" in job.message


def test_uploaded_bytes_are_never_held_whole(serving, monkeypatch):
    """Pieces go to disk as they come: what is in memory is one piece, however large the file."""
    import asyncio

    client = serving()
    largest = 0
    pieces = 40
    block = os.urandom(250_000)

    async def body():
        nonlocal largest
        yield b'--B\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\n'
        for number in range(pieces):
            yield block
            there = [each.stat().st_size for each in client.served.uploads.folder.rglob("*") if each.is_file()]
            largest = max(largest, (number + 1) * len(block) - (max(there) if there else 0))
        yield b"\r\n--B--\r\n"

    received, _ = asyncio.run(client.served.uploads.receive(body(), "multipart/form-data; boundary=B"))
    assert received[0].error  # random bytes are no text
    assert largest <= len(block) + io.DEFAULT_BUFFER_SIZE
