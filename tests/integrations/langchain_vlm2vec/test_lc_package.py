"""The package imports quickly and names what it has; the examples run as pasted."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import langchain_vlm2vec
import pytest

ROOT = Path(__file__).parents[3]


def run(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_every_public_name_is_there_and_declared() -> None:
    source = ast.parse(Path(langchain_vlm2vec.__file__).read_text(encoding="utf-8"))
    declared = {
        each.asname or each.name
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("langchain_vlm2vec")
        for each in node.names
    }
    assert declared == set(langchain_vlm2vec.__all__)
    assert all(callable(getattr(langchain_vlm2vec, name)) for name in langchain_vlm2vec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = langchain_vlm2vec.Nothing


def test_importing_all_of_it_loads_no_model_library_and_opens_nothing() -> None:
    heavy = ("torch", "transformers", "peft", "qdrant_client", "qdrant_edge", "av", "pypdfium2", "pymupdf", "PIL")
    code = f"import sys; from langchain_vlm2vec import *; print([each for each in {heavy} if each in sys.modules])"
    assert run("-c", code).strip() == "[]"
    assert run("-c", "import sys, langchain_vlm2vec; print('langchain_core' in sys.modules)").strip() == "False"


@pytest.mark.slow  # 7 s each: they read the whole sample collection
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("langchain_chatbot.py", ["They did [1].", "hcl-colors.pdf#page=11", "big-buck-bunny.mp4#t="]),
        ("langchain_agent_tool.py", ["LaTeX font sizes", "latexsheet.pdf#page=1", "Ten, from \\tiny to \\Huge."]),
    ],
)
def test_the_example_runs_as_pasted(name: str, found: list[str], tmp_path: Path) -> None:
    path = ROOT / "examples" / name
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30
    printed = run(str(path), cwd=tmp_path)
    for words in found:
        assert words in printed
