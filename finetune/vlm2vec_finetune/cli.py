"""The command line: download, pairs, mine, train, evaluate, export, merge."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from vlm2vec_rag.errors import VlmRagError

app = typer.Typer(
    name="vlm2vec-finetune",
    help="Train adapters for vlm2vec-rag on pairs of your own, and prove them before they ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


@app.callback()
def _settings(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what happens.")] = False,
) -> None:
    is_first = os.environ.get("RANK", "0") == "0"
    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=level if is_first else logging.ERROR, format="%(message)s", handlers=[handler])


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file; see finetune/recipes.")],
    restart: Annotated[bool, typer.Option("--restart", help="Remove the run's checkpoints and begin anew.")] = False,
    stop_at: Annotated[int | None, typer.Option(help="Save and stop after so many steps in all.")] = None,
) -> None:
    """Train as a recipe says; goes on from the last checkpoint where there is one.

    The same under torchrun, on N GPUs (or N processes on the CPU):
    torchrun --nproc-per-node=N -m vlm2vec_finetune train RECIPE.yaml
    """
    from vlm2vec_finetune.progress import Bar, TensorBoard, plot_run
    from vlm2vec_finetune.recipe import load_recipe
    from vlm2vec_finetune.trainer import Watch
    from vlm2vec_finetune.trainer import train as run

    loaded = load_recipe(recipe)
    folder = Path(loaded.output_dir)
    is_first = os.environ.get("RANK", "0") == "0"
    watches: list[Watch] = [Bar(console), TensorBoard(folder)] if is_first else []
    outcome = run(loaded, restart=restart, stop_at=stop_at, watches=watches)
    if not is_first:
        return
    console.print(f"loss curve: {plot_run(folder)}")
    if outcome.is_finished:
        flag = "--adapter" if loaded.mode == "lora" else "--model"
        console.print(f"done: serve it with [bold]vlm2vec-rag … {flag} {outcome.folder}[/bold]")
    else:
        console.print(f"stopped after step {outcome.step}: {outcome.folder}; the same command goes on from there")


def main() -> None:
    """The entry point: errors of this package become one line and exit status 1."""
    try:
        app()
    except VlmRagError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False, markup=True)
        sys.exit(1)
