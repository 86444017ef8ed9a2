"""The 24 visual document tasks: a question to the page that answers it, out of all pages of the task.

Each data set has three configurations: queries, corpus and qrels. Relevance is graded in a few (ViDoRe v2).

Source: VLM2Vec `src/data/eval_dataset/{vidore,visrag}_dataset.py` and `src/utils/dataset_utils.py:20-43` at 6e1e1d4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.examples import Collector, Example, ImageBytes, TaskData, TaskQuery
from vlm2vec_rag.evaluation.hub_layout import DataFolder
from vlm2vec_rag.evaluation.tasks import Task


def visual_documents(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """Queries with their relevance; pages are read again at every pass, for they do not fit in memory."""
    collector = Collector()
    relevance: dict[str, dict[str, float]] = {}
    for row in folder.rows(task, "qrels"):
        if row["score"] > 0:  # of a page that is judged twice the higher grade counts
            grades = relevance.setdefault(str(row["query-id"]), {})
            page = str(row["corpus-id"])
            grades[page] = max(float(row["score"]), grades.get(page, 0.0))

    def take(row: Mapping[str, Any]) -> None:
        query_id = str(row["query-id"])
        if query_id not in relevance:
            raise InvalidInput(f"query {query_id} has no relevant page")
        collector.add(TaskQuery(Example(query_id, task.query_prompt(row["query"])), relevance[query_id]))

    collector.each(folder.rows(task, "queries"), limit, take)
    prompt = task.target_prompt("", "image")

    def pages() -> Iterator[Example]:
        seen: set[str] = set()
        for row in folder.rows(task, "corpus"):
            name = str(row["corpus-id"])
            if name not in seen:
                seen.add(name)
                yield Example(name, prompt, ImageBytes((row["image"] or {}).get("bytes") or b"", f"page {name}"))

    return TaskData(collector.queries, pages, collector.left_out, collector.notes)
