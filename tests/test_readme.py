"""What the README and the guides show works from the wheel: Python blocks run as pasted, commands are understood.

The wheel is built and unpacked before the dependencies that are installed; `tools/check_wheel.py` does the same in a
fresh environment.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def tool(name: str) -> ModuleType:
    """A script of tools/, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_wheel, page_blocks = tool("check_wheel"), tool("page_blocks")
PAGES = {page.name: page for page in check_wheel.PAGES}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return check_wheel.build(tmp_path_factory.mktemp("wheel"), isolated=False)


@pytest.mark.slow
def test_the_wheel_holds_what_the_pages_name(wheel: Path) -> None:
    assert check_wheel.named_and_missing(wheel) == []


@pytest.mark.slow
def test_the_blocks_run_and_the_commands_are_understood_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(installed)}
    environment |= {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
    command = [sys.executable, str(ROOT / "tools" / "page_blocks.py"), *map(str, PAGES.values())]
    ran = subprocess.run(
        [*command, "--installed", str(installed)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    for name in PAGES:
        assert f"{name}: " in ran.stdout


@pytest.mark.slow
def test_the_blocks_pass_a_strict_type_checker(tmp_path: Path) -> None:
    files = []
    for name, page in PAGES.items():
        for number, block in enumerate(page_blocks.blocks(page.read_text(encoding="utf-8"), "python")):
            path = tmp_path / f"{name.partition('.')[0]}_{number}.py"
            path.write_text(block, encoding="utf-8")
            files.append(str(path))
    assert len(files) >= 4
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(ROOT / ".mypy_cache")]  # that of `make check`; a new one takes a minute
    ran = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_no_link_between_the_pages_is_dead() -> None:
    pages = [*PAGES.values(), *(ROOT / name for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
    links = {(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))}
    inner = {(page, link) for page, link in links if "://" not in link}
    assert len(inner) > 20
    assert sorted(link for page, link in inner if not (page.parent / link).exists()) == []


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(PAGES["README.md"].read_text(encoding="utf-8").splitlines()) < 200


def test_commands_are_read_from_console_blocks_only() -> None:
    page = '```console\n$ vlm2vec-rag list; vlm2vec-rag remove "a b.pdf"  # all\n$ make\n```\n\n$ vlm2vec-rag info\n'
    assert page_blocks.commands(page) == [["vlm2vec-rag", "list"], ["vlm2vec-rag", "remove", "a b.pdf"]]
    page_blocks.parse(["vlm2vec-rag", "search", "a", "--kind", "page"])
    for wrong in (["vlm2vec-rag", "serch", "a"], ["vlm2vec-rag", "search", "a", "--sort"]):
        with pytest.raises(Exception, match=r"No such"):
            page_blocks.parse(wrong)
