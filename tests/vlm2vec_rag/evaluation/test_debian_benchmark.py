"""The offline benchmark: questions out of outlines, split by package, and a whole run on a small manual."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "examples" / "benchmarks" / "debian_manuals.py"
HEADINGS = [("1 First steps", 1), ("1.1 Winding the clock", 1), ("1.2 Setting the hands", 2), ("Index", 6)]


@pytest.fixture(scope="module")
def manuals():
    spec = importlib.util.spec_from_file_location("debian_manuals", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_manual(path, headings):
    """A manual of six pages: each says which page it is, and the headings that begin on it."""
    pymupdf = pytest.importorskip("pymupdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    document = pymupdf.open()
    for number in range(1, 7):
        page = document.new_page(width=300, height=400)
        lines = [title for title, start in headings if start == number]
        page.insert_text((40, 60), [*lines, f"This is page {number} of the manual."])
    document.set_toc([[1, title, start] for title, start in headings])
    document.save(path)


def test_a_section_answers_its_heading_its_first_page_best(manuals, tmp_path):
    write_manual(tmp_path / "test" / "clock" / "manual.pdf", HEADINGS)
    asked = {query.question: dict(query.relevant) for query in manuals.questions(tmp_path / "test")}
    at = "test/clock/manual.pdf#page="
    assert asked == {
        "First steps": {f"{at}1": 2.0},
        "Winding the clock": {f"{at}1": 2.0},
        "Setting the hands": {f"{at}2": 2.0, f"{at}3": 1.0, f"{at}4": 1.0, f"{at}5": 1.0},
    }


def test_a_heading_of_two_manuals_is_no_question(manuals, tmp_path):
    write_manual(tmp_path / "test" / "clock" / "manual.pdf", HEADINGS)
    write_manual(tmp_path / "test" / "watch" / "manual.pdf", [("3 Setting the hands", 4)])
    asked = [query.question for query in manuals.questions(tmp_path / "test")]
    assert asked == ["First steps", "Winding the clock"]


def test_no_package_is_in_two_splits(manuals):
    splits: dict[str, set[str]] = {}
    for split, package, _ in manuals.manuals():
        splits.setdefault(split, set()).add(package)
    assert set(splits) == set(manuals.SPLITS)
    assert sum(map(len, splits.values())) == len(set.union(*splits.values()))


def test_a_run_prints_its_scores_and_writes_its_report(tmp_path):
    write_manual(tmp_path / "manuals" / "test" / "clock" / "manual.pdf", HEADINGS)
    command = [sys.executable, SCRIPT, "run", tmp_path / "manuals", "--model", "none"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "6 pages indexed" in run.stdout
    assert "3 questions" in run.stdout
    (results,) = (tmp_path / "manuals" / "results").glob("*.json")
    assert json.loads(results.read_text())["summary"]["bm25"]["hit@1"]["mean"] == 1.0
    assert results.with_suffix(".html").is_file()


def test_a_run_without_manuals_says_to_fetch_them(tmp_path):
    command = [sys.executable, SCRIPT, "run", tmp_path, "--model", "none"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "run the fetch step first" in run.stderr
