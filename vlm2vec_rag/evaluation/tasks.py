"""The 78 tasks of MMEB-V2 with the instructions that VLM2Vec-V2 was trained and tested with, one row each.

Source: the parsers under `src/data/eval_dataset` of VLM2Vec at 6e1e1d4, in `data/mmeb_v2_tasks.tsv`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from types import MappingProxyType

from vlm2vec_rag.encoder.base import Shown
from vlm2vec_rag.encoder.qwen2vl.prompts import layout
from vlm2vec_rag.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Task:
    """One of the 78 tasks of MMEB-V2: its row in `data/mmeb_v2_tasks.tsv` without the columns that nothing uses."""

    name: str
    modality: str  # image, video or visdoc
    family: str
    metric: str
    query_instruction: str
    target_instruction: str
    hub_path: str
    eval_type: str  # local: each query has its own candidates; global: all candidates of the task
    query_modality: str
    target_modality: str
    parser: str
    n_queries: str

    def query_prompt(self, text: str = "", shown: Shown = "") -> str:
        """The complete prompt of a query; `text` fills the instruction's blank where it has one."""
        instruction, text = _fill(_for_visual(self.query_instruction, shown), text)
        prompt = layout(instruction, text, shown, lines=self.modality == "image", final_newline=True)
        # the dialogues of one task end in two line breaks (public code: image_t2i_eval.py:20-21)
        return prompt + "\n" if self.name == "VisDial" else prompt

    def target_prompt(self, text: str = "", shown: Shown = "") -> str:
        """The complete prompt of a target; labels, answers and captions are the raw string."""
        if not shown and not self.target_instruction:
            return text
        instruction, text = _fill(self.target_instruction, text)
        # image-to-image targets without a caption are the only ones whose last line stays open
        # (public code: image_i2i_vg_dataset.py:32-38)
        final_newline = self.parser != "image_i2i_vg" or bool(text)
        return layout(instruction, text, shown, lines=self.modality == "image", final_newline=final_newline)


def task(name: str) -> Task:
    """The task of that name.

    Raises:
        InvalidInput: There is none; the message names the nearest.
    """
    try:
        return TASKS[name]
    except KeyError:
        import difflib

        near = ", ".join(difflib.get_close_matches(name, TASKS, n=3, cutoff=0.3)) or ", ".join(list(TASKS)[:5])
        raise InvalidInput(f"MMEB-V2 has no task {name!r}; near it: {near}") from None


def _for_visual(instruction: str, shown: Shown) -> str:
    """The one for what the query shows, where a task has several: `text: "..." | image: "..." | video: "..."`."""
    several: dict[str, str] = dict(re.findall(r'(text|image|video): "([^"]*)"(?: \| |$)', instruction))
    return several.get(shown or "text", instruction)


def _fill(instruction: str, text: str) -> tuple[str, str]:
    """Fill the blank of a grounding instruction (`labeled as "{label}"`); others keep the text behind it."""
    filled, blanks = re.subn(r"\{[a-z_0-9]+\}", lambda _: text, instruction)
    return (filled, "") if blanks else (instruction, text)


def _read_tasks() -> Mapping[str, Task]:
    names = {each.name for each in fields(Task)}
    table = resources.files("vlm2vec_rag.evaluation").joinpath("data/mmeb_v2_tasks.tsv")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    tasks = [Task(**{name: value for name, value in row.items() if name in names}) for row in rows]
    return MappingProxyType({each.name: each for each in tasks})


TASKS: Mapping[str, Task] = _read_tasks()
