"""Files made to hang, fill or crash whoever opens them: each is one error, in time, and the next file is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pdf_bombs
import pytest
from handmade_pdfs import Pdf, Sheet, make_pdf

from vlm2vec_rag.errors import MediaError, MediaLimit, ReaderClosed, UnreadableMedia
from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings

GIB = 2**30


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory):
    """Makes each bomb once."""
    folder = tmp_path_factory.mktemp("bombs")

    def make(bomb: Callable[[Path], Path]) -> Path:
        path = folder / f"{bomb.__name__}.pdf"
        return path if path.exists() else bomb(path)

    return make


@pytest.fixture
def good(tmp_path) -> Path:
    return make_pdf(tmp_path / "good.pdf")


def is_read(reader: MediaReader, path: Path) -> bool:
    return [page.text for page in reader.items(path)] == ["Hello"]


def worker_pid(reader: MediaReader) -> int:
    return reader._guard._worker._process.pid


@pytest.mark.parametrize("bomb", [pdf_bombs.nested_forms, pdf_bombs.long_content], ids=lambda bomb: bomb.__name__)
def test_what_never_ends_is_ended(bombs, engine, bomb, good):
    path = bombs(bomb)
    limits = MediaLimits(seconds_per_item=1.5, memory_bytes=GIB)
    with MediaReader(MediaSettings(pdf_engine=engine), limits) as reader:
        assert is_read(reader, good)
        # PDFium runs into its memory limit before the time is up, and takes its process along
        with pytest.raises(
            (MediaLimit, UnreadableMedia), match=rf"{bomb.__name__}.pdf: .*(longer than 1.5 s|ended the process)"
        ):
            list(reader.items(path))
        assert is_read(reader, good)


@pytest.mark.parametrize("bomb", [pdf_bombs.giant_page, pdf_bombs.outline_loop], ids=lambda bomb: bomb.__name__)
def test_what_is_only_large_or_odd_is_read(bombs, engine, bomb):
    with MediaReader(MediaSettings(pdf_engine=engine), MediaLimits(memory_bytes=GIB)) as reader:
        [page] = reader.items(bombs(bomb))
        assert page.image.width * page.image.height <= 1280 * 784


def test_an_image_of_100_megapixels_on_a_page(bombs, engine, good):
    path = bombs(pdf_bombs.giant_image)
    with MediaReader(MediaSettings(pdf_engine=engine)) as reader:
        assert len(list(reader.items(path))) == 1
    with MediaReader(MediaSettings(pdf_engine=engine), MediaLimits(memory_bytes=GIB // 2)) as reader:
        try:  # in half a GiB a reader may fail, and must be whole again for the next file
            list(reader.items(path))
        except MediaError as error:
            assert "giant_image.pdf" in str(error)
        assert is_read(reader, good)


@pytest.mark.parametrize("bomb", [pdf_bombs.page_tree_loop, pdf_bombs.million_pages], ids=lambda bomb: bomb.__name__)
def test_a_page_tree_that_lies(bombs, engine, bomb, good):
    limits = MediaLimits(seconds_per_item=5)
    with MediaReader(MediaSettings(pdf_engine=engine), limits) as reader:
        try:
            pages = list(reader.items(bombs(bomb)))
        except MediaError as error:
            assert bomb.__name__ in str(error)
        else:
            assert len(pages) == 1
        assert is_read(reader, good)


def mixed(path: Path, bad: set[int], pages: int) -> Path:
    """A document in which some pages never end."""
    pdf = Pdf()
    root, tree = pdf.add(), pdf.add()
    inner = pdf.stream(b"0 0 1 1 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 600 850]")
    for _ in range(9):
        inner = pdf.stream(
            b"/X Do " * 10,
            b"/Type /XObject /Subtype /Form /BBox [0 0 600 850] /Resources << /XObject << /X %d 0 R >> >>" % inner,
        )
    kids = []
    for number in range(1, pages + 1):
        content = pdf.stream(b"/X Do" if number in bad else b"9 9 50 50 re f")
        resources = b"<< /XObject << /X %d 0 R >> >>" % inner
        kids.append(
            pdf.add(
                b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources %s >>"
                % (tree, content, resources)
            )
        )
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    pdf.objects[tree - 1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (listed, pages)
    pdf.objects[root - 1] = b"<< /Type /Catalog /Pages %d 0 R >>" % tree
    path.write_bytes(pdf.bytes(root))
    return path


def read_all(reader: MediaReader, path: Path) -> tuple[list[int], MediaError | None]:
    pages = []
    try:
        for page in reader.items(path):
            pages.append(page.page)
    except MediaError as error:
        return pages, error
    return pages, None


def test_a_bad_page_costs_itself_and_is_reported_after_the_good_ones(tmp_path):
    path = mixed(tmp_path / "mixed.pdf", {2}, 4)
    with MediaReader(MediaSettings(pdf_engine="pypdfium2"), MediaLimits(seconds_per_item=1)) as reader:
        pages, error = read_all(reader, path)
    assert pages == [1, 3, 4]
    assert "mixed.pdf: page 2" in str(error) and "(3 of 4 pages were read)" in str(error)


def test_a_file_of_bad_pages_is_given_up(tmp_path):
    path = mixed(tmp_path / "bad.pdf", {2, 3, 4, 5, 6}, 7)
    with MediaReader(MediaSettings(pdf_engine="pypdfium2"), MediaLimits(seconds_per_item=0.6)) as reader:
        reader.probe(path)
        pages, error = read_all(reader, path)
    assert pages == [1] and "(1 of 7 pages were read)" in str(error)


def test_the_time_of_a_whole_file_is_limited(tmp_path):
    path = mixed(tmp_path / "long.pdf", {2, 3, 4}, 4)
    limits = MediaLimits(seconds_per_item=20, seconds_per_file=1.5)
    with MediaReader(MediaSettings(pdf_engine="pypdfium2"), limits) as reader:
        pages, error = read_all(reader, path)
    assert pages == [1] and "longer than 1.5 s to read in all; split it, or raise limits.seconds_per_file" in str(error)


def test_time_spent_on_the_items_elsewhere_does_not_count(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", [Sheet()] * 3)
    with MediaReader(limits=MediaLimits(seconds_per_file=1.5)) as reader:
        for _ in reader.items(path):
            time.sleep(0.6)


def test_running_out_of_memory_is_that_file_s_error(tmp_path, good):
    path = tmp_path / "large.txt"
    path.write_bytes(b"word " * (52 * 2**20))
    with MediaReader(limits=MediaLimits(memory_bytes=GIB // 2, text_bytes=GIB)) as reader:
        assert is_read(reader, good)
        with pytest.raises(MediaLimit, match=r"large.txt: it needs more memory than 0.5 GiB; reduce it, or raise"):
            list(reader.items(path))
        assert is_read(reader, good)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX")
def test_a_worker_that_was_killed_is_replaced(good):
    with MediaReader() as reader:
        assert is_read(reader, good)
        first = worker_pid(reader)
        os.kill(first, signal.SIGKILL)
        assert is_read(reader, good)
        assert worker_pid(reader) != first


def test_a_worker_that_cannot_start_says_why(good, monkeypatch):
    monkeypatch.setattr("vlm2vec_rag.media.process._BOOT", "raise SystemExit('no room')")
    with (
        MediaReader() as reader,
        pytest.raises(MediaError, match=r"does not start \(exit code 1: no room\).*isolated=Fa"),
    ):
        reader.probe(good)


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, as for a person; a test runner's worker processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX")
def test_ctrl_c_leaves_no_answer_for_the_next_question(bombs, good, interruptible):
    path = bombs(pdf_bombs.long_content)
    with MediaReader(MediaSettings(pdf_engine="pypdfium2"), MediaLimits(seconds_per_item=20)) as reader:
        assert is_read(reader, good)
        timer = threading.Timer(0.7, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(reader.items(path))
        timer.join()
        assert reader._guard._worker._process is None  # it still works on the old question, and would answer that
        assert is_read(reader, good)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_another_thread_ends_what_is_being_read_and_the_reader_reads_on(bombs, good):
    path = bombs(pdf_bombs.nested_forms)  # takes days
    with MediaReader(MediaSettings(pdf_engine="pypdfium2"), MediaLimits(seconds_per_item=3600)) as reader:
        assert is_read(reader, good)
        worker = Path(f"/proc/{worker_pid(reader)}/stat")
        ended = []

        def read():
            try:
                list(reader.items(path))
            except ReaderClosed as error:
                ended.append(str(error))

        before = ticks(worker)
        thread = threading.Thread(target=read)
        thread.start()
        while ticks(worker) < before + 5:  # deep in the page
            time.sleep(0.01)
        reader.cancel()
        thread.join()
        assert ended == ["the reader was closed while it read; read on with one that is open"]
        assert is_read(reader, good)


def ticks(stat: Path) -> int:
    """Processor time of a process, in hundredths of a second."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_after_a_fork_the_parent_s_worker_is_left_alone(good):
    with MediaReader() as reader:
        assert is_read(reader, good)
        worker = reader._guard._worker
        parents = worker._process
        worker._pid = -1  # what a forked child finds: the pid of another
        assert is_read(reader, good)
        assert worker._process is not parents and parents.poll() is None
        parents.kill()
        parents.communicate()


def test_nothing_is_left_open_by_files_that_fail(tmp_path, good):
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("open files are listed by /proc, which only Linux has")
    path = mixed(tmp_path / "bad.pdf", {1}, 2)
    with MediaReader(MediaSettings(pdf_engine="pypdfium2"), MediaLimits(seconds_per_item=0.5)) as reader:
        assert is_read(reader, good)
        before = len(list(folder.iterdir()))
        for _ in range(2):
            read_all(reader, path)
        assert is_read(reader, good)
        assert len(list(folder.iterdir())) <= before
    deadline = time.monotonic() + 120  # a timer that is called off takes a moment to end
    while any(isinstance(thread, threading.Timer) for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def program(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_worker_sees_no_secrets_and_ends_with_its_parent_in_the_middle_of_a_page(good, bombs, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    code = """
        import os, signal, sys, threading, time
        from vlm2vec_rag.media import MediaLimits, MediaReader, MediaSettings
        reader = MediaReader(MediaSettings(pdf_engine="pypdfium2"), MediaLimits(seconds_per_item=3600))
        reader.probe(sys.argv[1])
        pid = reader._guard._worker._process.pid
        print(pid, b"hunter2" in open(f"/proc/{pid}/environ", "rb").read(), flush=True)
        threading.Thread(target=lambda: list(reader.items(sys.argv[2]))).start()  # takes days
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = program(code, good, bombs(pdf_bombs.nested_forms))
    pid, sees_it = done.stdout.split()
    assert sees_it == "False"
    deadline = time.monotonic() + 120
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not keep the limit on memory, Windows has none")
def test_the_worker_s_own_limits(tmp_path):
    code = """
        import sys
        from vlm2vec_rag.media.settings import MediaLimits
        from vlm2vec_rag.media.worker import limit_resources
        limit_resources(MediaLimits(memory_bytes=2**30))
        try:
            bytearray(2**30)
        except MemoryError:
            print("no memory")
        try:
            with open(sys.argv[1], "w") as file:
                file.write("x")
        except OSError:
            print("no writing")
        try:
            files = [open("/dev/null") for _ in range(99)]
        except OSError:
            print("no more files")
    """
    done = program(code, tmp_path / "x")
    assert done.stdout == "no memory\nno writing\nno more files\n", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_an_orphan_at_work_is_ended_by_the_kernel():
    code = """
        from vlm2vec_rag.media.worker import limit_processor_time
        limit_processor_time(0.01)
        while True:
            pass
    """
    assert program(code).returncode == -signal.SIGXCPU
