"""How a run goes, for people: a bar on the terminal, curves in TensorBoard, an image of the loss at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.extras import require

if TYPE_CHECKING:
    from rich.console import Console

    from vlm2vec_finetune.recipe import Recipe
    from vlm2vec_finetune.scoring import Scores
    from vlm2vec_finetune.watch import StepReport


class Bar:
    """A progress bar with loss, learning rate, inputs per second and the time left."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console
        self._progress = Progress(
            TextColumn("[bold]train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=console,
        )

    def started(self, recipe: Recipe, done: int) -> None:
        self._task = self._progress.add_task("train", total=recipe.max_steps, completed=done, numbers="")
        self._progress.start()

    def stepped(self, report: StepReport) -> None:
        bad = f" · {report.bad_pairs} bad pairs" if report.bad_pairs else ""
        numbers = f"loss {report.loss:.3f} · lr {report.learning_rate:.1e} · {report.inputs_per_s:.1f} items/s{bad}"
        self._progress.update(self._task, completed=report.step, numbers=numbers)
        if not self._console.is_terminal:  # a bar is lost in a log file; a line is not
            self._console.print(f"step {report.step}: {numbers}")

    def evaluated(self, step: int, scores: Scores) -> None:
        shown = " · ".join(f"{metric} {scores.interval(metric)}" for metric in scores.values)
        self._console.print(f"held out, after step {step}: {shown}")

    def ended(self) -> None:
        self._progress.stop()


class TensorBoard:
    """Curves in the run's folder `tensorboard`.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """

    def __init__(self, run: Path) -> None:
        require("tensorboard", "finetune")
        self._folder = run / "tensorboard"
        self._writer: Any = None

    def started(self, recipe: Recipe, done: int) -> None:
        from torch.utils import tensorboard

        # a resumed run takes back the curve of the steps that it does again
        self._writer = tensorboard.SummaryWriter(str(self._folder), purge_step=done + 1)

    def stepped(self, report: StepReport) -> None:
        for name in ("loss", "learning_rate", "gradient_norm", "inputs_per_s"):
            self._writer.add_scalar(f"train/{name}", getattr(report, name), report.step)

    def evaluated(self, step: int, scores: Scores) -> None:
        for metric in scores.values:
            self._writer.add_scalar(f"held_out/{metric}", scores.interval(metric).mean, step)

    def ended(self) -> None:
        self._writer.close()


def plot_run(run: Path) -> Path:
    """Draw the loss, and the held-out score where there is one, from a run's `metrics.jsonl` into `loss.png`.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    require("matplotlib", "finetune")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    scores = [(line["step"], line["ndcg@5"]) for line in lines if "ndcg@5" in line]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*zip(*losses, strict=True) if losses else ([], []), color="tab:blue", linewidth=1)
    axes.set(xlabel="step", ylabel="InfoNCE loss", title=run.name)
    if scores:
        right = axes.twinx()
        right.plot(*zip(*scores, strict=True), color="tab:orange", marker="o")
        right.set(ylabel="held-out NDCG@5", ylim=(0, 1))
    figure.savefig(run / "loss.png", dpi=120)
    return run / "loss.png"
