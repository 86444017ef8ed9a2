"""Every Python snippet of the README runs as pasted, against a hub cache that holds tiny stand-ins for the models.

The cache has the hub's own layout, so the code path is the real one: ids are resolved, the adapter brings its base.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMIT = "0" * 40


def cached(cache, hub_id, folder):
    """Put a folder into a hub cache under an id."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


@pytest.fixture(scope="module")
def hub(tmp_path_factory, tiny_base, tiny_adapter):
    """A hub cache with both models, as they would be after a download."""
    cache = tmp_path_factory.mktemp("hub")
    cached(cache, "Qwen/Qwen2-VL-2B-Instruct", tiny_base)
    config = cached(cache, "VLM2Vec/VLM2Vec-V2.0", tiny_adapter) / "adapter_config.json"
    values = json.loads(config.read_text()) | {"base_model_name_or_path": "Qwen/Qwen2-VL-2B-Instruct"}
    config.write_text(json.dumps(values))
    return cache


def test_there_are_snippets():
    assert len(SNIPPETS) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("snippet", SNIPPETS, ids=[each.strip().splitlines()[0][:60] for each in SNIPPETS])
def test_a_snippet_runs_as_pasted(snippet, hub, tmp_path):
    environment = {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    script = tmp_path / "snippet.py"
    script.write_text(snippet)
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]


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
