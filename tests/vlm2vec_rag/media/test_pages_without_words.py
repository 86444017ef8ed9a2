"""A run counts the pages that nothing but their pixels can find, and says what reads them."""

from __future__ import annotations

from handmade_pdfs import Sheet, make_pdf
from typer.testing import CliRunner

import vlm2vec_rag as vr
from vlm2vec_rag.cli.app import app
from vlm2vec_rag.media import MediaSettings

SHEETS = [
    Sheet(words=[(72, 700, "Revenue rose steeply")]),
    Sheet(words=[(72, 700, "& 7 5 @!3 % &")]),
    Sheet(drawing=b"100 100 200 200 re f"),
]


def test_pages_without_words_are_counted(tmp_path):
    make_pdf(tmp_path / "a.pdf", SHEETS)
    with vr.open(tmp_path / "c", "none", media=MediaSettings(ocr="off")) as library:
        report = library.index(tmp_path / "a.pdf")
    assert (report.pages_without_words, report.pages_with_broken_text, report.has_ocr) == (2, 1, False)


def test_the_command_says_what_reads_them(tmp_path):
    make_pdf(tmp_path / "a.pdf", SHEETS)
    arguments = ["index", str(tmp_path / "a.pdf"), "-c", str(tmp_path / "c"), "--model", "none", "--ocr", "off"]
    done = CliRunner().invoke(app, arguments)
    said = " ".join(done.output.split())
    assert done.exit_code == 0, done.output
    assert "1 text layer of pages say nothing: left out: --ocr auto reads them" in said
    assert "2 pages have no words: --ocr auto reads them, with pip install 'vlm2vec-rag[ocr]'" in said


def test_passwords_are_given_by_the_line_and_by_file(tmp_path):
    from pathlib import Path

    locked = Path(__file__).parents[2] / "data" / "media" / "locked.pdf"
    run = CliRunner()
    index = ["index", str(locked), "-c", str(tmp_path / "c"), "--model", "none"]
    failed = run.invoke(app, index)
    assert failed.exit_code == 1 and "--password" in failed.output
    (tmp_path / "keys").write_text("wrong\nopen sesame\n")
    done = run.invoke(app, [*index, "--passwords", str(tmp_path / "keys")])
    assert done.exit_code == 0 and "1 file indexed" in done.output, done.output
    again = run.invoke(app, [*index[:3], str(tmp_path / "d"), "--model", "none", "--password", "open sesame"])
    assert again.exit_code == 0, again.output
    missing = run.invoke(app, [*index, "--passwords", str(tmp_path / "nowhere")])
    assert missing.exit_code != 0 and "give a text file" in str(missing.exception)
