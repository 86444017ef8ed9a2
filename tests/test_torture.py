"""The short form of the torture runs and breaks nothing; the long form's last table is in docs/torture.md."""

import subprocess
import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).parents[1] / "benchmarks" / "torture"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it forks, kills and reads /proc")
def test_the_short_form_breaks_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TORTURE), "--short", "--work", str(tmp_path), "--markdown", str(tmp_path / "table.md")],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    # every part did something
    lines = (tmp_path / "table.md").read_text().splitlines()[4:]
    parts = {line.split(" | ")[0].lstrip("| ") for line in lines}
    assert parts == {"kills", "damage", "disk", "together", "server", "hostile", "interrupts", "soak"}
    assert all(int(line.split(" | ")[2]) > 0 or "left out" in line for line in lines)
