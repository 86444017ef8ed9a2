"""Kill it, feed it poison, fill its disk, damage it, cut its connections, run it for hours: does it keep its word?

    python benchmarks/torture                 the long form: more than half an hour on two cores
    python benchmarks/torture --short         a minute or two; the tests run it
    python benchmarks/torture kills disk      some parts
    python benchmarks/torture --markdown torture.md

Everything is drawn from --seed. Ends with one table, and with status 1 where something broke. Linux only: it forks,
kills, and reads /proc; a disk is filled on a tmpfs of its own where mounting is allowed, and said to be left out where
not.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests" / "support")]
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # forked processes cannot use their parent's threads

import damage
import disk
import hostile
import interrupts
import kills
import server
import soak
import together
from report import Row, as_markdown, as_text

PARTS: dict[str, Callable[[Path, int, bool], Iterator[Row]]] = {
    "kills": kills.run,
    "damage": damage.run,
    "disk": disk.run,
    "together": together.run,
    "server": server.run,
    "hostile": hostile.run,
    "interrupts": interrupts.run,
    "soak": soak.run,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--markdown", type=Path, help="write the table there as well")
    parser.add_argument("--work", type=Path, help="a folder to work in, which stays; a temporary one otherwise")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    work = asked.work or Path(tempfile.mkdtemp(prefix="vlm2vec-torture-"))
    rows: list[Row] = []
    try:
        for name in asked.parts or PARTS:
            folder = work / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            began = time.monotonic()
            try:
                for row in PARTS[name](folder, asked.seed, asked.short):
                    rows.append(row)
                    print(as_text(row), flush=True)
            except Exception as error:  # a part that breaks is a finding, and the others are still wanted
                rows.append(Row(part=name, what="the part itself", tried=1, broke=[f"{type(error).__name__}: {error}"]))
                print(as_text(rows[-1]), flush=True)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    finally:
        if asked.work is None:
            shutil.rmtree(work, ignore_errors=True)
    if asked.markdown:
        asked.markdown.write_text(as_markdown(rows, _heading(asked.seed, asked.short)), encoding="utf-8")
    broken = [row for row in rows if row.broke]
    print(f"{sum(row.tried for row in rows):,} trials, {len(broken)} of {len(rows)} lines broke")
    return 1 if broken else 0


def _heading(seed: int, short: bool) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    ).stdout
    form = "short" if short else "long"
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    return f"{datetime.date.today()}, commit {commit.strip()}, {machine}, {form} form, seed {seed}"


if __name__ == "__main__":
    random.seed(0)
    sys.exit(main())
