"""Run every benchmark, one after the other, so that none disturbs another.

    python benchmarks/run.py [NAME ...]

Each prints a table; ratios are against a named peer in the same run, since machines differ and are noisy.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")
    for name in names:
        print(f"\n== {name}: {(HERE / f'{name}.py').read_text(encoding='utf-8').splitlines()[0].strip(chr(34))}")
        sys.stdout.flush()
        subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=True)


if __name__ == "__main__":
    main()
