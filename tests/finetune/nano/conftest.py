"""The recipe's scripts import each other by plain names, as they do when they are run."""

import sys
from pathlib import Path

RECIPE = Path(__file__).parents[3] / "finetune" / "recipes" / "nano"

if str(RECIPE) not in sys.path:
    sys.path.insert(0, str(RECIPE))
