"""Scores by family and model as one chart: a line per family, a dot per model, one's own on top."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm2vec_rag.evaluation.leaderboard import FAMILIES, MODALITIES, means
from vlm2vec_rag.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "#8a929c"  # readable on white and on black
_OWN = "#2563c9"
# dots of other models, told apart by form as well as by colour
_STYLES = (("o", "#d9822b"), ("s", "#3d9970"), ("^", "#8e63ce"), ("v", "#c2410c"), ("P", "#0891b2"), ("X", "#be185d"))


def family_chart(scores: Mapping[str, Mapping[str, float | None]], own: str) -> Figure:
    """Draw the chart.

    Args:
        scores: Title of a model -> task -> percent.
        own: Which of them is one's own.
    """
    require("matplotlib", "eval")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = ("all", *MODALITIES, *FAMILIES)
    by_model = {title: means(column) for title, column in scores.items()}
    figure = Figure(figsize=(9.5, 6.4), layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot(facecolor="none")
    rows = {group: -i - 0.6 * (i >= len(MODALITIES) + 1) for i, group in enumerate(groups)}
    others = [title for title in scores if title != own]
    for title, (marker, colour) in zip(others, _STYLES * (len(others) // len(_STYLES) + 1), strict=False):
        points = [(by_model[title][group].value, row) for group, row in rows.items()]
        known = [(x, y) for x, y in points if x is not None]
        axes.scatter(
            *zip(*known, strict=True), s=34, marker=marker, color=colour, alpha=0.75, label=title, linewidths=0
        )
    mine = [(by_model[own][group].value, row) for group, row in rows.items() if by_model[own][group].value is not None]
    if mine:
        axes.scatter(*zip(*mine, strict=True), s=95, marker="D", color=_OWN, edgecolors="white", label=own, zorder=3)
    axes.set_yticks(list(rows.values()), [group.removeprefix("VisDoc-") for group in groups])
    axes.set_xlim(0, 100)
    axes.set_xlabel("Hit@1 (image, video), NDCG@5 (visual documents), %", color=_GREY)
    axes.grid(axis="both", color=_GREY, alpha=0.25, linewidth=0.7)
    axes.tick_params(colors=_GREY, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=3, frameon=False, labelcolor=_GREY)
    legend.set_in_layout(True)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")


def as_svg(figure: Figure) -> str:
    """The chart as markup for a page, its background left open."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    markup = buffer.getvalue()
    return markup[markup.index("<svg") :]
