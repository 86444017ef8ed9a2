"""Build the wheel, install it where nothing else is, and run every block of the README and the guides against it.

    python tools/check_wheel.py [--python python3.12] [--folder DIR]

Makes a fresh environment, installs torch first, as the Makefile does, then the wheel with the extras whose blocks are
run, and has `tools/page_blocks.py` run there. It downloads what is not cached: for before a release, or weekly.
On every change `tests/test_readme.py` does the same with the wheel alone, unpacked before the dependencies
that are installed already, and asks `named_and_missing` what a wheel lacks.
"""

# ruff: noqa: S603  the programs run here are Python's own

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTRAS = "llama-index,langchain,chat,finetune"  # what the pages tell readers to install before they run a block


def build(folder: Path, python: str = sys.executable, *, isolated: bool = True) -> Path:
    """The wheel of this checkout, built into a folder; not `isolated` takes the hatchling that is installed."""
    options = [] if isolated else ["--no-build-isolation"]
    pip = [python, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-cache-dir"]
    subprocess.run([*pip, *options, "--wheel-dir", str(folder), str(ROOT)], check=True)
    [wheel] = folder.glob("vlm2vec_rag-*.whl")
    return wheel


def named_and_missing(wheel: Path) -> list[str]:
    """What the README and the guides tell readers to use that the wheel has not: files, recipes, extras, commands."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        [metadata, scripts] = [
            archive.read(next(name for name in held if name.endswith(f".dist-info/{part}"))).decode()
            for part in ("METADATA", "entry_points.txt")
        ]
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    wanted = {path: path in held for path in re.findall(r"(?<![\w/])vlm2vec_rag/[\w./-]+\.\w+", pages)}
    for recipe in re.findall(r"(?:recipes/|train |recipe `)([\w-]+\.yaml)", pages):
        wanted[recipe] = f"vlm2vec_finetune/recipes/{recipe}" in held
    for extras in re.findall(r"vlm2vec-rag\[([\w,-]+)\]", pages):
        wanted |= {f"[{extra}]": f"Provides-Extra: {extra}\n" in metadata for extra in extras.split(",")}
    for program in re.findall(r"^\$ (vlm2vec-\w+)", pages, flags=re.MULTILINE):
        wanted[program] = f"{program} = " in scripts
    return sorted(name for name, is_there in wanted.items() if not is_there)


def main() -> None:
    """Build, install, run."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--python", default=sys.executable, help="which Python the environment is of")
    asked.add_argument("--folder", type=Path, help="keep the environment here; a temporary folder otherwise")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="check-wheel-") as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        wheel = build(folder, given.python)
        if missing := named_and_missing(wheel):
            raise SystemExit(f"{wheel.name} lacks what the pages name: {', '.join(missing)}")
        subprocess.run([given.python, "-m", "venv", "--clear", str(folder / "env")], check=True)
        python = str(folder / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "torch"], check=True)
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), f"{wheel}[{EXTRAS}]"], check=True)
        blocks = [python, "-I", str(ROOT / "tools" / "page_blocks.py"), *map(str, PAGES)]
        subprocess.run([*blocks, "--installed", str(folder / "env")], cwd=folder, check=True)


if __name__ == "__main__":
    main()
