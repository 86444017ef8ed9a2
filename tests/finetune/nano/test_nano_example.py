"""The example that teaches nano a manual runs as it is, and its adapter loads."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vlm2vec_rag import load_encoder, samples

EXAMPLE = Path(__file__).parents[3] / "examples" / "finetune_nano.py"


@pytest.mark.slow
def test_the_example_measures_before_and_after_and_its_adapter_loads(tmp_path: Path) -> None:
    manual = samples.folder() / "reportlab-charts.pdf"
    # a fifth of nano's pixels: the whole of them takes minutes on processors that multiply slowly
    small = ["--pages", "3", "--steps", "2", "--max-pixels", str(256 * 28 * 28)]
    command = [sys.executable, str(EXAMPLE), str(manual), *small]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"ndcg@5 +before \d.+ after \d.+ gain ", done.stdout), done.stdout
    adapter = tmp_path / done.stdout.rpartition("adapter: ")[2].strip()
    plain, taught = (load_encoder("nano", path, "cpu", "float32") for path in (None, adapter))
    question = ["How far should a slice stick out of the pie?"]
    before, after = (each.encode_queries(question, target="page") for each in (plain, taught))
    assert np.abs(before - after).max() > 1e-5  # two steps move it, and only so far
    assert float((before * after).sum()) > 0.5
