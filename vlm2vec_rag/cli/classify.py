"""`classify`: zero-shot labels for images, pages and clips, as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm2vec_rag.cli.console import complain, note, short
from vlm2vec_rag.cli.options import ModelOptions, with_options
from vlm2vec_rag.errors import InvalidInput

if TYPE_CHECKING:
    from vlm2vec_rag.classify import Failed, Labelled

COLUMNS = ("place", "kind", "label", "confidence", "second_label", "second_confidence", "cosine")


@with_options
def classify_command(
    chosen: ModelOptions,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders: images, videos, PDFs.", show_default=False)],
    labels: Annotated[
        str, typer.Option("--labels", "-l", help="Labels, separated by commas, or a text file with one a line.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the CSV here, not to the terminal.")] = None,
    all_labels: Annotated[bool, typer.Option("--all", help="One more column for each label's confidence.")] = False,
    temperature: Annotated[float, typer.Option("--temperature", help="Of the confidence; the model's own is 0.02.")] = (
        0.02
    ),
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Use a model that sees no photographs; what it says means little.")
    ] = False,
) -> None:
    """Label images, pages and clips with words of your own. A video gives a row for each of its clips."""
    from vlm2vec_rag.classify import check_labels

    names = check_labels(read_labels(labels))
    with chosen.open_in_memory() as library:
        rows = library.classify(paths, names, temperature=temperature, anyway=anyway)
        failures = _write(rows, names, out, all_labels=all_labels)
    if out:
        note(f"labels in {short(str(out))}")
    raise typer.Exit(1 if failures else 0)


def _write(rows: Iterable[Labelled | Failed], names: Sequence[str], out: Path | None, *, all_labels: bool) -> int:
    """Rows as CSV; how many files failed, each of them said."""
    from vlm2vec_rag.classify import Failed

    failures = 0
    target = out.open("w", newline="", encoding="utf-8") if out else nullcontext(sys.stdout)
    with target as stream:
        writer = csv.writer(stream)
        writer.writerow((*COLUMNS, *names) if all_labels else COLUMNS)
        for row in rows:
            if isinstance(row, Failed):
                failures += 1
                complain(row.reason)
                continue
            second = sorted(row.probabilities, key=lambda label: -row.probabilities[label])[1]
            values = [row.place, row.kind, row.label, f"{row.confidence:.4f}", second]
            values += [f"{row.probabilities[second]:.4f}", f"{row.cosines[row.label]:.4f}"]
            writer.writerow(values + [f"{each:.4f}" for each in row.probabilities.values()] * all_labels)
    return failures


def read_labels(given: str) -> list[str]:
    """Labels from a text file, one a line, or from a list with commas."""
    path = Path(given)
    if path.is_file():
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if "," not in given and path.suffix:
        raise InvalidInput(f"--labels {given!r} is no file; expected a text file with one label a line, or a,b,c")
    return given.split(",")
