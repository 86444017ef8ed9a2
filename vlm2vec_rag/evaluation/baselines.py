"""Published scores to stand beside one's own, each under the version of the benchmark it belongs to.

Three versions are easily mixed up, so they are named wherever a score appears:

- `v2.0.0`: the paper's run. VLM2Vec-V2.0 has 64.9 / 34.6 / 65.4 / 58.0 (image, video, visual documents, all).
- `v2.0.1`: VLM2Vec-V2.0 run again; MomentSeeker without its duplicates. 64.9 / 34.7 / 64.8 / 57.9.
- `page-fixed`: v2.0.0 with ViDoSeek-page and MMLongBench-page replaced by their scores on the corrected relevance
  files, which the public code loads today and this package does too. 64.9 / 34.6 / 69.2 / 59.2.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, TypeAlias

Version: TypeAlias = Literal["v2.0.0", "v2.0.1", "page-fixed"]
PAGE_FIXED_TASKS = ("ViDoSeek-page", "MMLongBench-page")
REFERENCE = "VLM2Vec-V2.0"


@cache
def published() -> Mapping[tuple[str, Version], Mapping[str, float]]:
    """(model, version) -> task -> score in percent; every column covers all 78 tasks."""
    columns: dict[tuple[str, Version], dict[str, float]] = {}
    for row in _rows("published_scores.tsv"):
        columns.setdefault((row["model"], _version(row["version"])), {})[row["task"]] = float(row["score"])
    for model, version in list(columns):
        if version == "page-fixed":
            columns[model, version] = {**columns[model, "v2.0.0"], **columns[model, version]}
    return MappingProxyType({key: MappingProxyType(column) for key, column in columns.items()})


@cache
def video_labels() -> Mapping[str, tuple[str, ...]]:
    """The classes of each video classification task that ranks against all of them."""
    labels: dict[str, list[str]] = {}
    for row in _rows("video_labels.tsv"):
        labels.setdefault(row["task"], []).append(row["label"])
    return MappingProxyType({task: tuple(names) for task, names in labels.items()})


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("vlm2vec_rag.evaluation").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def _version(text: str) -> Version:
    versions: tuple[Version, ...] = ("v2.0.0", "v2.0.1", "page-fixed")
    return next(version for version in versions if version == text)
