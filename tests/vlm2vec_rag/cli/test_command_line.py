"""The command line does what its help says, and answers a mistake with one line and an exit status."""

import json
import shutil
import sys

import pytest
from PIL import Image as PILImage

from vlm2vec_rag import samples
from vlm2vec_rag.cli import main
from vlm2vec_rag.errors import InvalidInput


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command line as a person would; gives status, what went to stdout, what to stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vlm2vec-rag", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a few real files."""
    files = tmp_path / "files"
    files.mkdir()
    for name in ("latexsheet.pdf", "espresso.jpg", "balloons.png"):
        shutil.copy(samples.folder() / name, files)
    (files / "notes.md").write_text("# Violins\n\nNotes on the violin.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def words(folder, run):
    """The folder, indexed by words."""
    status, _, error = run("index", "files", "--model", "none")
    assert status == 0, error
    return folder


def test_index_says_what_it_did_and_skips_what_it_knows(folder, run):
    status, out, error = run("index", "files", "--model", "none")
    assert (status, out) == (0, "")
    assert "4 files indexed (2 images · 2 pages · 1 text), 0 unchanged" in error
    assert "0 files indexed, 4 unchanged" in run("index", "files")[2]


def test_a_failed_file_shows_with_its_reason_and_in_the_status(folder, run):
    (folder / "files" / "broken.pdf").write_bytes(b"%PDF-1.7\nrubbish")
    status, _, error = run("index", "files", "--model", "none")
    assert status == 1 and "4 files indexed" in error and "1 failed" in error and "broken.pdf" in error


def test_search_prints_places_that_open(words, run):
    status, out, _ = run("search", "a cup of coffee")
    assert status == 0 and "files/espresso.jpg" in out.splitlines()[0] and "cup of coffee" in out
    assert "thumbnails" not in out  # nor any number that says nothing to a newcomer


def test_a_question_needs_no_quotes_and_a_source_that_matches_nothing_is_said(words, run):
    assert "espresso.jpg" in run("search", "a", "cup", "of", "coffee")[1]
    status, out, error = run("search", "coffee", "--source", "missing.pdf", "--source", "*.md")
    assert (status, out) == (0, "") and "nothing indexed matches --source missing.pdf;" in error
    assert "espresso.jpg" in run("ask", "a", "cup", "of", "coffee")[1]


def test_an_empty_path_is_not_the_present_folder(words, run):
    status, _, error = run("index", "")
    assert status == 2 and "a path to index is empty" in error
    status, _, error = run("remove", "")
    assert status == 2 and len(run("list")[1].splitlines()) == 5


def test_search_gives_json_for_programs(words, run):
    _, out, _ = run("search", "violin", "--json")
    [hit] = [json.loads(line) for line in out.splitlines()]
    assert hit["place"].endswith("/files/notes.md#char=0,31") and hit["kind"] == "text" and hit["bm25_score"] > 0


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--kind", "page"], {"latexsheet.pdf"}),
        (["--source", "*.jpg"], {"espresso.jpg"}),
        (["--source", "files/espresso.jpg"], {"espresso.jpg"}),
        (["--source", "espresso.jpg"], {"espresso.jpg"}),
        (["--pages", "2"], {"latexsheet.pdf"}),
        (["--pages", "3-"], set()),
    ],
)
def test_search_is_narrowed_by_its_filters(words, run, options, found):
    _, out, _ = run("search", "cup coffee columns of the table", "--json", *options)
    assert {json.loads(line)["source"].rpartition("/")[2] for line in out.splitlines()} == found


def test_an_image_finds_itself_with_a_model(folder, run, tiny_base):
    assert run("index", "files", "--model", tiny_base, "--dtype", "float32")[0] == 0
    status, out, error = run("search", "--image", "files/balloons.png", "--kind", "image", "--mode", "dense", "--json")
    assert status == 0, error
    assert len([json.loads(line) for line in out.splitlines()]) == 2


def test_reindex_embeds_anew_and_the_old_adapter_is_then_refused(folder, run, tiny_base, tiny_adapter):
    budget = ["--dtype", "float32", "--max-pixels", 28 * 28 * 16]
    assert run("index", "files/espresso.jpg", "--model", tiny_base, *budget)[0] == 0
    (folder / ".vlm2vec" / "uploads").mkdir()
    (folder / ".vlm2vec" / "uploads" / "kept.md").write_text("Uploaded notes.")
    assert run("index", "files/notes.md", "--name", "other", "--model", "none")[0] == 0
    status, _, error = run("index", "files", "--model", tiny_base, "--adapter", tiny_adapter, *budget)
    assert status == 1 and "adapter" in error
    status, _, error = run("reindex", "--adapter", tiny_adapter, "--dtype", "float32")
    assert status == 0, error
    fingerprint = json.loads(run("info", "--json")[1])["fingerprint"]
    assert fingerprint["adapter"] != "" and fingerprint["max_pixels"] == 28 * 28 * 16
    assert run("search", "coffee")[0] == 0
    # nothing else that lives in the folder is touched
    assert (folder / ".vlm2vec" / "uploads" / "kept.md").exists()
    assert "notes.md" in run("list", "--name", "other")[1]
    assert not (folder / ".vlm2vec.new").exists()


def test_an_adapter_alone_brings_its_base(folder, run, tiny_adapter):
    assert run("index", "files/notes.md", "--adapter", tiny_adapter)[0] == 0
    assert json.loads(run("info", "--json")[1])["fingerprint"]["adapter"] != ""
    status, out, error = run("search", "violin", "--mode", "dense", "--json")
    assert status == 0 and len(out.splitlines()) == 1, error


def test_list_remove_and_info(words, run):
    _, out, _ = run("list")
    assert len(out.splitlines()) == 5 and "files/notes.md" in out
    assert run("remove", "notes.md")[0] == 0
    assert "notes.md" not in run("list")[1]
    _, out, _ = run("info")
    assert "none: words only" in out and "embedded" in out
    status, _, error = run("remove", "nothing.pdf")
    assert status == 1 and "'nothing.pdf' is not in the collection" in error


MISTAKES = [
    (["search", "coffee", "-c", "nowhere"], "there is no collection 'default' at nowhere; make one with: vlm2vec-rag"),
    (["search", " "], "the question is empty"),
    (["search", "x", "--mode", "magic"], "magic"),
    (["search", "x", "--kind", "pdf"], "--kind 'pdf' is not one of text, image, page, clip"),
    (["search", "x", "--pages", "a-b"], "--pages 'a-b' is no range"),
    (
        ["search", "--image", "files/espresso.jpg"],
        "photographs, and this one searches by words only",
    ),
    (["index", "missing-folder"], "missing-folder"),
    (["index", "files", "--model", "./no-model"], "no model at './no-model'"),
    (["index", "files", "--model", "someone/unreachable"], "HF_ENDPOINT"),
    (["index", "files", "--pdf-engine", "acrobat"], "expected pymupdf or pypdfium2"),
    (["index", "empty"], "there is nothing to index in empty"),
    (["search", "x", "--qdrant", "http://127.0.0.1:9"], "127.0.0.1:9"),
]


@pytest.mark.parametrize(("arguments", "words_of_help"), MISTAKES, ids=[" ".join(each[0][:2]) for each in MISTAKES])
def test_a_mistake_is_one_line_that_says_what_to_do(words, run, arguments, words_of_help):
    (words / "empty").mkdir()
    status, out, error = run(*arguments)
    # 2 for how it was called, 1 for what is wrong with a place, a model or a file
    is_usage = any(
        each in words_of_help
        for each in ("the question is empty", "magic", "--kind", "--pages", "photographs", "expected pymupdf")
    )
    assert status == (2 if is_usage else 1) and out == ""
    assert "error: " in error and words_of_help in error and "Traceback" not in error


def test_a_call_that_cannot_be_understood_is_status_2(run):
    assert run("index")[0] == 2
    assert run("fly")[0] == 2


def test_an_interrupt_says_that_nothing_is_lost(words, run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vlm2vec_rag.library.library.index", interrupt)
    status, _, error = run("index", "files")
    assert status == 130 and "interrupted: 0 items kept; the same command goes on" in error


def test_the_demo_answers_its_five_questions_first_time_right(tmp_path, run):
    status, out, error = run("demo", "-c", tmp_path / "demo", "--model", "none")
    assert status == 0 and "no model: hits are ranked by words alone" in error
    blocks = out.split("\n\n")
    for question in samples.QUESTIONS:
        [block] = [block for block in blocks if question.question in block]
        first = block.splitlines()[block.splitlines().index(question.question) + 1]
        place = first.split(maxsplit=1)[1].split(" (p.")[0]
        assert question.is_answered_by(place), (question, first)


def test_ranges_read_as_people_write_them():
    from vlm2vec_rag.library.asking import span

    assert [span(text, "--pages") for text in ("12", "3-9", "40-", "-9")] == [(12, 12), (3, 9), (40, None), (None, 9)]
    with pytest.raises(InvalidInput):
        span("-", "--time")


def test_searching_without_vectors_loads_no_torch(words):
    import subprocess

    code = (
        "import sys; sys.argv = ['vlm2vec-rag', 'search', 'violin'];"
        "from vlm2vec_rag.cli import main\ntry:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=words)


def test_the_samples_images_open():
    for path in samples.folder().glob("*.jpg"):
        with PILImage.open(path) as image:
            image.load()
