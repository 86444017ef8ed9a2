"""The reader: the same items with a worker as without, from any thread, whatever the file is called."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from handmade_pdfs import Sheet, make_pdf
from numbered_videos import make_video, read
from PIL import Image

from vlm2vec_rag.errors import EncryptedMedia, InvalidInput, MediaLimit, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media import MediaInfo, MediaLimits, MediaReader, MediaSettings

WORDS = [(72, 700, "Revenue"), (300, 700, "rose")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    make_pdf(
        folder / "report.pdf", [Sheet(words=WORDS), Sheet(), Sheet()], outline=[(0, "One", 1)], labels=b"0 << /S /r >>"
    )
    Image.effect_noise((1500, 1000), 90).convert("RGB").save(folder / "photo.png", compress_level=1)
    make_video(folder / "talk.mp4", frames=90, subtitles=[(0, 1, "hello")])
    (folder / "notes.md").write_text("# A\n\nOne.\n\n# B\n\nTwo — ✓.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def reader():
    with MediaReader() as reader:
        yield reader


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("report.pdf", MediaInfo(kind="pdf", format="pdf", items=3, pages=3)),
        ("photo.png", MediaInfo(kind="image", format="png", items=1, width=1500, height=1000)),
        ("talk.mp4", MediaInfo(kind="video", format="mp4", items=1, duration_s=3.0, width=192, height=96)),
        ("notes.md", MediaInfo(kind="text", format="markdown", items=2)),
    ],
)
def test_a_worker_gives_what_this_process_would(files, reader, name, info):
    assert reader.probe(files / name) == info
    here = list(MediaReader(isolated=False).items(files / name))
    there = list(reader.items(files / name))
    assert len(here) == info.items
    for one, two in zip(here, there, strict=True):
        assert type(one) is type(two) and one.content_hash == two.content_hash
        plain = [name for name in one.__dataclass_fields__ if name not in ("image", "frames")]
        assert [getattr(one, name) for name in plain] == [getattr(two, name) for name in plain]
        assert two.source == str(files / name)


def test_single_pages_images_and_clips(files, reader):
    page = reader.page(files / "report.pdf", 2, max_pixels=200 * 784)
    assert (page.page, page.label, page.title) == (2, "ii", "One")
    assert page.image.width * page.image.height <= 200 * 784
    assert [word.text for word in reader.words(files / "report.pdf", 1)] == ["Revenue", "rose"]
    assert reader.image(files / "photo.png", max_pixels=100 * 784).image.width < 400
    clip = reader.clip(files / "talk.mp4", 1.0, 2.0, frames=3)
    assert [read(frame) for frame in clip.frames] == [30, 44, 59]
    assert clip.times_s == pytest.approx((1.0, 44 / 30, 59 / 30), abs=0.001)


@pytest.mark.parametrize(
    ("method", "name", "arguments", "message"),
    [
        ("page", "talk.mp4", (1,), r"talk.mp4 is a video; expected a PDF or a TIFF"),
        ("words", "photo.png", (1,), r"photo.png is an image; expected a PDF or a TIFF"),
        ("clip", "report.pdf", (0, 1), r"report.pdf is a PDF; expected a video"),
        ("image", "notes.md", (), r"notes.md is a text; expected an image"),
        ("page", "report.pdf", (4,), r"report.pdf has no page 4; expected 1 to 3"),
        ("clip", "talk.mp4", (9, 12), r"9 to 12 s is no stretch of a video of 3 s"),
        ("export_page", "report.pdf", (1, 0), r"dpi is 0; expected 1 to 10000"),
    ],
)
def test_asking_for_what_a_file_is_not(files, reader, *, method, name, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        getattr(reader, method)(files / name, *arguments)


def test_errors_come_through_the_pipe_as_themselves(reader, tmp_path, locked_files):
    with pytest.raises(EncryptedMedia, match=r"locked.pdf: is encrypted"):
        reader.probe(locked_files / "locked.pdf")
    with pytest.raises(UnreadableMedia, match=r"gone.pdf: no such file"):
        reader.probe(tmp_path / "gone.pdf")
    (tmp_path / "talk.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(UnsupportedMedia, match=r"talk.wav: is audio"):
        list(reader.items(tmp_path / "talk.wav"))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\n" + os.urandom(2000))
    with pytest.raises(UnreadableMedia, match=r"broken.pdf"):
        reader.probe(tmp_path / "broken.pdf")


def test_the_password_is_sent_and_never_shown(locked_files):
    settings = MediaSettings(passwords="open sesame")
    assert "sesame" not in repr(settings) and "passwords" not in settings.signature()
    with MediaReader(settings) as reader:
        assert next(reader.items(locked_files / "locked.pdf")).text == "Secret"


@pytest.mark.parametrize(
    "name",
    ["ein Blatt.pdf", "日本.pdf", "100%#?.pdf", "-i.pdf", "http:__x.pdf", os.fsdecode(b"caf\xe9.pdf"), "a\nb.pdf"],
)
def test_odd_names(tmp_path, reader, name):
    try:
        path = make_pdf(tmp_path / name)
    except OSError:
        pytest.skip("this file system does not take the name")
    [page] = reader.items(path)
    assert page.text == "Hello" and page.source == str(path)


@pytest.mark.parametrize("name", ["concat:a.mp4", "http:x.mp4", "%d.mp4", "a b#c.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_a_video_s_name_is_never_an_address(tmp_path, reader, monkeypatch, name):
    monkeypatch.chdir(tmp_path)  # the worker stays where it was started
    Path(name).write_bytes(make_video(tmp_path / "plain.mp4", frames=5).read_bytes())
    [clip] = reader.items(name)
    assert [read(frame) for frame in clip.frames] == [0, 1, 2, 3, 4]


def test_a_file_that_was_replaced_is_opened_again(tmp_path, reader):
    path = make_pdf(tmp_path / "a.pdf", [Sheet(words=[(72, 700, "old")])])
    assert reader.page(path, 1).text == "old"
    make_pdf(path, [Sheet(words=[(72, 700, "newer")]), Sheet()])
    assert (reader.probe(path).pages, reader.page(path, 1).text) == (2, "newer")


def test_threads_get_their_own_answers(files, reader):
    wanted = {page: reader.page(files / "report.pdf", page).label for page in (1, 2, 3)}
    wrong: list[object] = []

    def ask(page: int) -> None:
        for _ in range(5):
            found = reader.page(files / "report.pdf", page)
            if (found.page, found.label) != (page, wanted[page]):
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(number % 3 + 1,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_items_of_two_files_may_be_read_in_turn(files, reader):
    pages, passages = reader.items(files / "report.pdf"), reader.items(files / "notes.md")
    assert [next(pages).page, next(passages).title, next(pages).page, next(passages).title] == [1, "A", 2, "B"]


def test_a_closed_reader_opens_again(files):
    reader = MediaReader()
    for _ in range(2):
        assert reader.probe(files / "report.pdf").pages == 3
        reader.close()
        reader.close()


def test_an_exported_page_has_the_resolution_asked_for(files):
    with MediaReader() as reader:
        assert reader.export_page(files / "report.pdf", 2, dpi=144).image.size == (1190, 1684)


def run(code: str, *arguments: object) -> str:
    """What a program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_is_light_and_so_is_the_worker():
    heavy = "{'torch', 'transformers', 'av', 'PIL', 'numpy', 'pymupdf', 'pypdfium2', 'qdrant_client', 'subprocess_'}"
    for module in ("vlm2vec_rag.media", "vlm2vec_rag.media.worker"):
        assert run(f"import sys, {module}; print({heavy} & set(sys.modules))") == "set()\n"


def test_a_script_without_a_main_guard_is_not_run_twice(files, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nprint('started')\nfrom vlm2vec_rag.media import MediaReader\n"
        "print(sum(1 for _ in MediaReader().items(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", script, files / "report.pdf"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("started\n3\n", "")


def test_limits_hold_through_the_worker(files):
    with (
        MediaReader(limits=MediaLimits(file_bytes=500)) as reader,
        pytest.raises(
            MediaLimit, match=r"report.pdf: has \d+ bytes, the limit is 500; split it or raise limits.file_bytes"
        ),
    ):
        reader.probe(files / "report.pdf")
    with MediaReader(limits=MediaLimits(pages=2)) as reader, pytest.raises(MediaLimit, match="has 3 pages"):
        reader.probe(files / "report.pdf")
