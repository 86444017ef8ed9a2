"""The Python snippets of the README run as pasted, in their order, in one folder, with the model that comes along."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_snippets_run_as_pasted_one_after_the_other_in_one_folder(tmp_path):
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    assert len(SNIPPETS) >= 4
    for number, snippet in enumerate(SNIPPETS):
        script = tmp_path / f"snippet_{number}.py"
        script.write_text(snippet)
        ran = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, snippet + ran.stderr[-3000:]
        assert ran.stdout.strip(), f"prints nothing:\n{snippet}"


@pytest.mark.slow
def test_snippets_pass_a_strict_type_checker(tmp_path):
    files = []
    for number, snippet in enumerate(SNIPPETS):
        path = tmp_path / f"snippet_{number}.py"
        path.write_text(snippet)
        files.append(str(path))
    command = [sys.executable, "-m", "mypy", "--config-file", str(Path(__file__).parents[1] / "pyproject.toml")]
    ran = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
