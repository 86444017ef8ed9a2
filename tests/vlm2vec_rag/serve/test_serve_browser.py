"""Every flow in a real browser, wide and on a phone, with axe-core looking at each state of each page."""

import contextlib
import json
import os
import shutil
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image as PILImage
from serving import EVIL, TOKEN, free_port, server_process

from vlm2vec_rag.library import open_library

pytestmark = pytest.mark.slow
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync"
PATIENCE_MS = 120_000
WIDE, PHONE = (1280, 900), (390, 844)
AXE = (Path(__file__).parents[2] / "data" / "axe" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no chromium; .ci/run installs it")
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET.split(), "--disable-component-update"])
        yield browser
        browser.close()


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def page(request, browser):
    """A page of one size; nothing may be wrong in its console, and no script of a file may have run."""
    with opened(browser, request.param) as page:
        yield page


@contextlib.contextmanager
def opened(browser, size, **settings):
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **settings)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: wrong.append(f"a script ran: {dialog.message}"))
    yield page
    # an answer of 4xx is written to the console by the browser itself
    assert [each for each in wrong if "Failed to load resource" not in each] == []
    context.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """`vlm2vec-rag serve` over the samples, by words."""
    folder = tmp_path_factory.mktemp("served")
    with server_process(folder) as (address, _):
        post(address, "/library/samples")
        wait_for_jobs(address)
        yield address


def post(address, path):
    urllib.request.urlopen(urllib.request.Request(address + path, method="POST"), timeout=30).close()


def wait_for_jobs(address):
    for _ in range(PATIENCE_MS // 200):
        with urllib.request.urlopen(address + "/api/jobs", timeout=30) as answer:
            jobs = json.load(answer)["jobs"]
        if jobs and all(each["state"] in ("done", "failed") for each in jobs):
            return jobs
        time.sleep(0.2)
    raise AssertionError(jobs)


def playwright_error():
    from playwright.sync_api import Error

    return Error


def until(page, expression):
    """Wait until a page says so. Playwright's own way evaluates a string in the page, which its policy forbids."""
    for _ in range(PATIENCE_MS // 50):
        with contextlib.suppress(playwright_error()):  # the page is on its way to another
            if page.evaluate(expression):
                return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def looks_right(page):
    """No serious finding of axe-core, and nothing wider than the window."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [
        (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


def is_phone(page):
    return page.viewport_size["width"] == PHONE[0]


def test_from_nothing_to_the_sample_collection(page, tmp_path):
    with server_process(tmp_path) as (address, _):
        for path in ("/search", "/ask", "/library"):
            page.goto(address + path)
            page.get_by_role("heading", name="Nothing is indexed yet").wait_for()
            looks_right(page)
        page.goto(address + "/search")
        page.get_by_role("button", name="Try the sample collection").click()
        page.locator(".job.is-done").wait_for()
        page.locator("#sources").get_by_text("big-buck-bunny.mp4").wait_for()
        page.goto(address + "/search")
        page.get_by_role("link", name="How do I make one slice stick out of a pie chart?").click()
        page.locator(".card").first.wait_for()


def test_search_open_page_through_and_come_back(page, address):
    page.goto(address)
    page.locator("#q").wait_for()
    looks_right(page)
    page.keyboard.press("Escape")  # leaves the line
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("How do I make one slice stick out of a pie chart?")
    started = time.perf_counter()
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    print(
        f"\n{page.viewport_size['width']} px: first results {(time.perf_counter() - started) * 1000:.0f} ms after Enter"
    )
    assert "q=How%20do%20I" in page.url and "kind" not in page.url
    until(page, "document.querySelector('.thumb img').naturalWidth > 100")
    assert page.locator(".card mark").count() and page.locator(".by").count() == 0
    looks_right(page)

    # by keys alone: down to the first card, and open it
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("#reader").get_by_text("Page 13 of 16").wait_for()
    until(page, "document.querySelector('#reader img').naturalWidth > 1000")
    assert page.locator("#reader .marks rect").count() > 10
    assert page.locator(".card[aria-current]").count() == 1 and "open=" in page.url
    looks_right(page)
    found_at = page.url
    page.get_by_role("link", name="Next page").click()
    page.locator("#reader").get_by_text("Page 14 of 16").wait_for()
    page.keyboard.press("ArrowLeft")
    page.locator("#reader").get_by_text("Page 13 of 16").wait_for()
    assert page.url == found_at
    width = page.locator("#reader .paper").bounding_box()["width"]
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator("#reader .paper").bounding_box()["width"] > width * 1.8
    until(page, "document.querySelector('#reader img').naturalWidth > 1800")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    file = page.get_by_role("link", name="Open the file at this page").get_attribute("href")
    assert file.endswith("#page=13") and page.request.get(address + file).headers["content-type"] == "application/pdf"

    # all of it is in the address
    page.go_back()
    page.locator("#reader").get_by_text("Page 14 of 16").wait_for()
    page.reload()
    page.locator("#reader").get_by_text("Page 14 of 16").wait_for()
    assert page.locator("#q").input_value().startswith("How do I make")
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('#reader article')")
    assert "open=" not in page.url and page.locator(".card").count()


def test_filters_are_chips_and_stand_in_the_address(page, address):
    page.goto(address + "/search?q=chart")
    page.locator(".card").first.wait_for()
    page.locator("label.chip", has_text="Pages").click()
    until(page, "location.search.includes('kind=page')")
    page.get_by_text("More filters").click()
    page.get_by_label("Pages", exact=True).last.fill("3-5")
    page.keyboard.press("Enter")
    until(page, "location.search.includes('pages=3-5')")
    until(page, "[...document.querySelectorAll('.place')].every(each => /page [345]\\b/.test(each.innerText))")
    looks_right(page)
    page.reload()
    assert page.get_by_label("Pages", exact=True).last.input_value() == "3-5"
    page.get_by_label("Pages", exact=True).last.fill("five")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    looks_right(page)
    page.goto(address + "/search?q=xylophonist")
    page.get_by_role("heading", name="Nothing found").wait_for()
    looks_right(page)
    page.goto(address + "/search?q=chart&open=gone")
    page.get_by_text("No longer here").wait_for()


def test_a_clip_plays_from_its_second_with_its_transcript(page, address):
    page.goto(address + "/search?q=butterfly around the bunny")
    page.locator(".card.kind-clip").first.click()
    until(page, "document.querySelector('#reader video')?.currentTime >= 50")
    assert page.locator("#reader .text mark").count()
    looks_right(page)
    page.get_by_role("link", name="Previous clip").click()
    page.locator("#reader").get_by_text("0:25 – 0:55").wait_for()


def test_ask_open_the_evidence_follow_up_and_reload(page, address):
    page.goto(address + "/ask")
    page.locator("#question").wait_for()
    looks_right(page)
    page.locator("#question").fill("How do I make one slice stick out of a pie chart?")
    page.keyboard.press("Enter")
    page.locator(".turn[data-state=done]").wait_for()
    assert (
        1 <= page.locator(".cite").count() <= 3
        and page.locator(".evidence .card").count() == page.locator(".cite").count()
    )
    looks_right(page)
    page.locator(".cite").first.click()
    page.locator("#reader").get_by_text("Page 13 of 16").wait_for()
    assert page.locator("#reader .marks rect").count() > 5 and "quote=" in page.url and "conversation=" in page.url
    until(page, "document.querySelector('#reader img').naturalWidth > 1000")
    looks_right(page)
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('#reader article')")
    page.locator("#question").fill("And its labels?")
    page.keyboard.press("Enter")
    page.locator(".turn[data-state=done]").nth(1).wait_for()
    page.reload()
    assert page.locator(".turn").count() == 2 and "slice" in page.locator(".question").first.inner_text()
    page.get_by_role("button", name="Ask again").last.click()
    page.locator(".turn[data-state=done]").nth(2).wait_for()
    page.goto(address + "/ask?conversation=gone")
    page.get_by_text("no longer kept").wait_for()


def test_upload_watch_open_find_and_remove(page, address, tmp_path):
    mine = "wide" if not is_phone(page) else "phone"
    good, evil, bad = (tmp_path / name for name in (f"zebra {mine}.md", f"img src=x {mine}.md", f"bad {mine}.pdf"))
    good.write_text("Zebras are striped.")
    evil.write_text(EVIL)
    bad.write_bytes(b"%PDF-1.7\nrubbish")
    page.goto(address + "/library")
    looks_right(page)
    page.locator("input[data-files]").first.set_input_files([str(each) for each in (good, evil, bad)])
    page.locator("#sources").get_by_text(good.name).wait_for()
    page.locator(".job.is-done .is-failed").get_by_text(bad.name, exact=True).wait_for()
    looks_right(page)
    page.locator("#find").fill(f"zebra {mine}")
    until(page, "document.querySelectorAll('#sources tbody tr').length == 1")
    page.get_by_role("link", name=good.name).click()
    page.locator("#reader").get_by_text("Zebras are striped.").wait_for()
    looks_right(page)
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('#reader article')")
    page.get_by_role("button", name=f"Remove {good.name}").click()
    page.get_by_role("dialog").get_by_text("The uploaded file is deleted").wait_for()
    looks_right(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name=f"Remove {good.name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_text("No file is named like that").wait_for()
    page.goto(address + "/library")
    page.get_by_role("link", name=evil.name).click()
    page.locator("#reader").get_by_text("<script>alert(1)</script>").wait_for()
    page.keyboard.press("Escape")
    if page.locator("#address").count():
        page.locator("#address").fill("http://192.168.0.1/film.mp4")
        page.get_by_role("button", name="Fetch").click()
        page.locator("#news").get_by_text("not a host", exact=False).wait_for()
        looks_right(page)


def test_the_manual(page, address):
    page.goto(address + "/docs")
    page.get_by_text("/api/search").first.wait_for()
    looks_right(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_both_colours_and_on_a_large_screen(browser, address, scheme):
    with opened(browser, (1920, 1080), color_scheme=scheme) as page:
        page.goto(address + "/search?q=pie+chart")
        page.locator(".card").first.click()
        until(page, "document.querySelector('#reader img')?.naturalWidth > 1000")
        looks_right(page)
        for path in ("/ask", "/library", "/docs"):
            page.goto(address + path)
            looks_right(page)
        page.goto(address + "/library")
        page.get_by_role("button", name="Colours: as the system").click()
        page.get_by_role("button", name="Colours: light").click()
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        looks_right(page)


class Slowly:
    """A chat model that writes Markdown, a piece at a time, for as long as it is listened to."""

    name, sees_images = "by rule", False

    def __init__(self):
        self.is_listened_to = threading.Event()

    def stream(self, messages):
        try:
            yield "A **bold** start [1].\n\n"
            for number in range(2000):
                self.is_listened_to.set()
                yield f"word{number} "
                time.sleep(0.05)
        finally:
            self.is_listened_to.clear()


@pytest.fixture(scope="module")
def sighted(encoder, tmp_path_factory):
    """A server with a token in this process: a model that sees, two images and a text, and a slow chat model."""
    import uvicorn

    from vlm2vec_rag.serve.app import build_app
    from vlm2vec_rag.serve.served import Served
    from vlm2vec_rag.serve.settings import ServeSettings

    folder = tmp_path_factory.mktemp("sighted")
    files = folder / "files"
    files.mkdir()
    for name, colour in (("blue.png", "navy"), ("red.png", "crimson")):
        PILImage.new("RGB", (200, 150), colour).save(files / name)
    (files / "note.md").write_text("A note on colours.")
    port, chat = free_port(), Slowly()
    settings = ServeSettings(port=port, token=TOKEN)
    with open_library(folder / "collection", encoder) as library:
        library.index(files)
        served = Served("default", library, settings, chat_model=chat)
        server = uvicorn.Server(
            uvicorn.Config(build_app([served], settings), port=port, log_level="warning", timeout_graceful_shutdown=2)
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.05)
        yield f"http://127.0.0.1:{port}", chat
        server.should_exit = True
        thread.join()
        served.close()


def sign_in(page, address, path):
    page.goto(address + path)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(address + path)


def test_sign_in_and_search_with_an_image(page, sighted):
    address, _ = sighted
    page.goto(address + "/search?q=colours")
    looks_right(page)
    page.get_by_label("Token").fill("a wrong token, this one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("This is not the token").wait_for()
    looks_right(page)
    sign_in(page, address, "/search?q=colours")
    page.locator(".by").first.wait_for()
    looks_right(page)
    image = page.request.get(address + page.locator(".thumb img").first.get_attribute("src")).body()
    page.locator("#q").fill("")
    page.locator("[data-query-file]").set_input_files({"name": "ask.jpg", "mimeType": "image/jpeg", "buffer": image})
    until(page, "location.search.includes('image=')")
    page.locator(".card").first.wait_for()
    assert page.locator(".by-sight").count() and page.locator("#asked-with").get_by_text("image").count()
    looks_right(page)
    page.get_by_role("button", name="Search without this image").click()
    until(page, "!location.search.includes('image=')")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").wait_for()


def test_an_answer_streams_as_markdown_and_can_be_stopped(page, sighted):
    address, chat = sighted
    sign_in(page, address, "/ask")
    page.locator("#question").fill("Which colours?")
    page.keyboard.press("Enter")
    page.locator(".answer strong").get_by_text("bold").wait_for()
    page.locator(".answer").get_by_text("word5").wait_for()
    looks_right(page)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Ask again").wait_for()
    for _ in range(200):  # the model is not asked for more
        if not chat.is_listened_to.is_set():
            break
        time.sleep(0.05)
    assert not chat.is_listened_to.is_set()
    page.reload()
    assert page.locator(".turn[data-state=stopped]").count() == 1
    assert page.locator(".answer").inner_text().startswith("A bold start")
