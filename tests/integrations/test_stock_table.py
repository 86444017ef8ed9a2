"""docs/stock_classes.md says only what tests run: each row names a test and a class that its file uses."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "stock_classes.md").read_text(encoding="utf-8")


def test_every_row_is_a_test_that_uses_the_class() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:3] == "| `"]
    assert len(rows) >= 30
    for name, *_, cited in rows:
        file, test = cited.strip("`").split("::")
        [path] = HERE.glob(f"*/{file}")
        code = path.read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {test}\(", code, flags=re.MULTILINE), cited
        assert name.strip("`") in code, (name, file)
