"""See that the lowest versions that pyproject.toml allows work together, and that constraints.txt can be resolved.

    python tools/check_floors.py --resolve           # for Python 3.10 to 3.13, in three minutes at most
    python tools/check_floors.py [--folder DIR]      # installs the lowest with this Python, too, and runs some tests

Run by hand, when a dependency or a floor changes, or weekly: it downloads gigabytes, the lowest torch among them. Needs
`pip install uv`, whose resolver takes the lowest version of what is asked for (`lowest-direct`; what our dependencies
ask for themselves stays the newest). What a Python of another version would install is resolved, not run.
"""

# ruff: noqa: S603, S607  uv and Python are run, with arguments that are written below

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# not those that only pass a file on to one other program, and not `all`, which is all of them
EXTRAS = ("llama-index", "langchain", "chat", "finetune", "serve")
TESTS = (
    "tests/vlm2vec_rag/encoder/test_conformance.py",
    "tests/vlm2vec_rag/encoder/test_adapter.py",
    "tests/integrations/langchain_vlm2vec/test_lc_retriever.py",
    "tests/integrations/llama_index_vlm2vec/test_li_retriever.py",
)
# asks transformers itself for what its 5.0 had under another argument
NOT_OURS = "test_true_three_axis_positions_would_give_other_vectors"


def resolve(out: Path, *options: str) -> None:
    """Write what uv chooses for our requirements to a file, and say so.

    Raises:
        SystemExit: There is nothing to choose; uv says why.
    """
    command = ["uv", "pip", "compile", "--quiet", str(ROOT / "pyproject.toml"), "--output-file", str(out), *options]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        raise SystemExit(f"{' '.join(options)}: {told.stderr.strip()}")
    count = sum(line[:1].isalnum() for line in out.read_text(encoding="utf-8").splitlines())
    sys.stdout.write(f"{count} packages for {' '.join(options)}\n")


def resolve_all(folder: Path) -> None:
    """Resolve the newest under constraints.txt with every extra, and the lowest, for every Python."""
    for python in PYTHONS:
        of_python = ("--python-version", python)
        resolve(folder / f"newest-{python}.txt", *of_python, "--all-extras", "--constraint", "constraints.txt")
        resolve(folder / f"lowest-{python}.txt", *of_python, "--resolution", "lowest-direct", *_extras())


def run(folder: Path) -> int:
    """Install the lowest versions with this Python and run a part of the tests; the exit status of pytest."""
    lowest = folder / f"lowest-{sys.version_info.major}.{sys.version_info.minor}.txt"
    environment = folder / "env"
    python = str(environment / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)], check=True)
    install = ["uv", "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "-r", str(lowest), "pytest", "pytest-asyncio", "hypothesis"], check=True)
    paths = os.pathsep.join(str(ROOT / each) for each in (".", "integrations", "finetune"))
    variables = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    # what is deprecated today was not yet, or warned otherwise, in the lowest versions
    options = ["-q", "-p", "no:cacheprovider", "-o", "filterwarnings=", "-k", f"not {NOT_OURS}"]
    return subprocess.run([python, "-m", "pytest", *options, *TESTS], cwd=ROOT, env=variables, check=False).returncode


def _extras() -> list[str]:
    return [word for extra in EXTRAS for word in ("--extra", extra)]


def main() -> None:
    """Resolve, and unless asked not to, install and run."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--resolve", action="store_true", help="resolve only; nothing is installed")
    asked.add_argument("--folder", type=Path, help="keep the lists and the environment here")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="check-floors-") as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*-3.*.txt"):
            old.unlink()  # uv would keep to what an old list holds
        resolve_all(folder)
        sys.exit(0 if given.resolve else run(folder))


if __name__ == "__main__":
    main()
