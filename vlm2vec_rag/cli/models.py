"""`vlm2vec-rag models`: which models there are, what each sees, and what it costs here."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table

from vlm2vec_rag.cli.console import note, out, print_json
from vlm2vec_rag.terminal import size_of

# nano and EmbeddingGemma 2 at real size reached 0.64 and 0.57 on a CPU (benchmarks/model_families.py)
OF_PRODUCT_SPEED = 0.6


def models_command(
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each model.")] = False,
) -> None:
    """The models known by name: what they see, their size, their speed here, whether they are on disk."""
    from vlm2vec_rag.encoder.auto import choose_model
    from vlm2vec_rag.encoder.device import choose_device, choose_dtype, product_flops
    from vlm2vec_rag.encoder.models import models

    device = choose_device()
    dtype = choose_dtype(device)
    speed = OF_PRODUCT_SPEED * product_flops(device, dtype)
    if as_json:
        for each in models():
            values = {**dataclasses.asdict(each), "sees": sorted(each.sees), "memory_bytes": each.memory_bytes}
            seconds = {"seconds_per_page": each.page_flops / speed, "is_on_disk": each.is_on_disk}
            print_json({**values, **seconds})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("model", "sees", "width", "download", "memory", "s/page", "score", "disk"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("model", "sees") else "right")
    for each in models():
        table.add_row(
            each.name,
            "all" if len(each.sees) == 3 else ", ".join(sorted(each.sees)),
            str(each.dim),
            size_of(each.download_bytes) if each.download_bytes else "none",
            size_of(each.parameters * dtype.itemsize),
            _seconds(each.page_flops / speed),
            f"{each.mmeb_v2:.1f}" if each.mmeb_v2 else "-",
            "yes" if each.is_on_disk else "no",
        )
    out.print(table)
    out.print()
    for each in models():
        out.print(f"[bold]{each.name}[/bold] ({each.licence}): {each.good_at}")
    scored = "; ".join(dict.fromkeys(each.source for each in models() if each.source))
    out.print()
    note(
        "sees: all is print, photographs and video. width: numbers of a vector. memory: of the weights here, in "
        f"{str(dtype).removeprefix('torch.')} on {device}. s/page: an estimate from the speed of products here, of "
        f"which models reach about {speed / 1e9:.0f} billion operations a second. score: MMEB-V2 over all tasks, as "
        f"published ({scored})"
    )
    note(f"taken where none is named: {choose_model()[0]}. Folders and other hub ids of these families load as well")


def _seconds(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
