"""`classify`: zero-shot labels for images, pages and clips, as CSV."""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from vlm2vec_rag.cli import options
from vlm2vec_rag.cli.console import complain, note, short
from vlm2vec_rag.cli.options import ModelChoice
from vlm2vec_rag.errors import InvalidInput

COLUMNS = ("place", "kind", "label", "confidence", "second_label", "second_confidence", "cosine")


def classify_command(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders: images, videos, PDFs.", show_default=False)],
    labels: Annotated[
        str, typer.Option("--labels", "-l", help="Labels, separated by commas, or a text file with one a line.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the CSV here, not to the terminal.")] = None,
    all_labels: Annotated[bool, typer.Option("--all", help="One more column for each label's confidence.")] = False,
    temperature: Annotated[float, typer.Option("--temperature", help="Of the confidence; the model's own is 0.02.")] = (
        0.02
    ),
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
) -> None:
    """Label images, pages and clips with words of your own. A video gives a row for each of its clips."""
    from vlm2vec_rag.classify import Failed, check_labels, classify
    from vlm2vec_rag.media import MediaReader, MediaSettings, find_media

    chosen = check_labels(read_labels(labels))
    encoder = ModelChoice(model=model, adapter=adapter, device=device, dtype=dtype).load()
    if encoder is None:
        raise InvalidInput("labels are found by looking, which needs a model; --model takes a hub id or a folder")
    files = list(find_media(paths))
    if not files:
        raise InvalidInput(f"there is nothing to label in {', '.join(map(str, paths))}")
    failures = 0
    settings = MediaSettings(max_pixels=encoder.max_pixels, frames=encoder.frames)
    target = out.open("w", newline="", encoding="utf-8") if out else nullcontext(sys.stdout)
    with target as stream, MediaReader(settings) as reader:
        writer = csv.writer(stream)
        writer.writerow((*COLUMNS, *chosen) if all_labels else COLUMNS)
        for row in classify(files, chosen, encoder, reader, temperature=temperature):
            if isinstance(row, Failed):
                failures += 1
                complain(row.reason)
                continue
            second = sorted(row.probabilities, key=lambda label: -row.probabilities[label])[1]
            values = [row.place, row.kind, row.label, f"{row.confidence:.4f}", second]
            values += [f"{row.probabilities[second]:.4f}", f"{row.cosines[row.label]:.4f}"]
            writer.writerow(values + [f"{each:.4f}" for each in row.probabilities.values()] * all_labels)
    if out:
        note(f"labels of {len(files) - failures} files in {short(str(out))}")
    raise typer.Exit(1 if failures else 0)


def read_labels(given: str) -> list[str]:
    """Labels from a text file, one a line, or from a list with commas."""
    path = Path(given)
    if path.is_file():
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if "," not in given and path.suffix:
        raise InvalidInput(f"--labels {given!r} is no file; expected a text file with one label a line, or a,b,c")
    return given.split(",")
