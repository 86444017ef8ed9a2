"""The 36 image tasks: classification, question answering, retrieval and grounding.

Their rows carry their own instruction (`qry_inst`, `tgt_inst`), which is what the public scorer shows the model, so it
is shown here too; where it is not the one of the task table, a note says so. Rows without one get the table's.
Each query is ranked against its own list, whose first entry is the right one.

Source: VLM2Vec `src/data/eval_dataset/image_{cls,qa}_dataset.py`, `image_{i2t,t2i}_eval.py` and
`image_i2i_vg_dataset.py` at 6e1e1d4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlm2vec_rag.encoder.qwen2vl.prompts import IMAGE_TOKEN
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.evaluation.examples import Collector, Example, ImageFile, TaskData, TaskQuery
from vlm2vec_rag.evaluation.hub_layout import DataFolder, HubPath, inside
from vlm2vec_rag.evaluation.tasks import Task

_MARK = "<|image_1|>"  # where the data sets say the image goes


def image_to_text(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """Classification, question answering and captions: an image, with or without words, to a text."""
    collector, image = Collector(), _Images(folder.image_root(task))
    known = collector.candidates

    def take(row: Mapping[str, Any]) -> None:
        if not len(row["tgt_text"]):
            raise InvalidInput("the list of candidates is empty")
        candidates = {label: known.get(label) or Example(label, label) for label in row["tgt_text"]}
        query = Example("", _query_prompt(task, row, collector), image(row["qry_img_path"]))
        _add(collector, query, candidates)

    collector.each(folder.rows(task, HubPath.of(task).configs[0]), limit, take)
    return collector.data()


def to_image(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """Retrieval and grounding: a text, an image, or both, to an image with or without a caption."""
    collector, image = Collector(), _Images(folder.image_root(task))
    known = collector.candidates

    def take(row: Mapping[str, Any]) -> None:
        paths, captions = list(row["tgt_img_path"]), list(row["tgt_text"])
        if len(captions) not in (1, len(paths)):
            raise InvalidInput(f"{len(paths)} target images come with {len(captions)} captions")
        captions = captions if len(captions) == len(paths) else captions * len(paths)
        # one list either has captions or has none: the public code looks at the first
        captions = captions if captions[0].strip() else [""] * len(paths)
        candidates: dict[str, Example] = {}
        for path, caption in zip(paths, captions, strict=True):
            # the caption is part of the name: in RefCOCO-Matching one image holds several right objects
            name = f"{path}:{caption.strip(chr(34))}"
            candidates[name] = known.get(name) or Example(name, _target_prompt(task, row, caption), image(path))
        visual = image(row["qry_img_path"]) if _shows_image(task) else None
        _add(collector, Example("", _query_prompt(task, row, collector), visual), candidates)

    collector.each(folder.rows(task, HubPath.of(task).configs[0]), limit, take)
    return collector.data()


def _add(collector: Collector, query: Example, candidates: Mapping[str, Example]) -> None:
    """Add a query whose first candidate is right; names are shared, for a task's lists hold a million of them."""
    names = tuple(example.name for example in candidates.values())
    collector.add(TaskQuery(query, {names[0]: 1.0}, names), list(candidates.values()))


def _query_prompt(task: Task, row: Mapping[str, Any], collector: Collector) -> str:
    text = row["qry_text"] or ""
    has_blank = "{" in task.query_instruction
    table = task.query_prompt(text.strip('"') if has_blank else text, "image" if _shows_image(task) else "")
    if "qry_inst" not in row:
        return table
    own = _layout(row["qry_inst"], text, _shows_image(task), strip=task.parser in ("image_qa", "image_i2i_vg"))
    own += "\n\n" if task.name == "VisDial" else "\n"  # image_t2i_eval.py:20-21
    if own != table:
        collector.note(f"the rows' own instruction was used, {own!r}, where the task table has {table!r}")
    return own


def _target_prompt(task: Task, row: Mapping[str, Any], caption: str) -> str:
    if "tgt_inst" not in row:
        return task.target_prompt(caption.strip('"') if "{" in task.target_instruction else caption, "image")
    # image-to-image targets without a caption are the only prompts without a final line break
    end = "" if task.parser == "image_i2i_vg" and not caption else "\n"
    return _layout(row["tgt_inst"], caption, shows_image=True, strip=False) + end


def _layout(instruction: str, text: str, shows_image: bool, *, strip: bool) -> str:
    """Token, instruction and text as the public code joins them, which the line breaks in the rows depend on."""
    instruction = instruction.replace(_MARK, "")
    if strip:
        instruction = "\n" + instruction.strip()
    pieces = [IMAGE_TOKEN, instruction, text] if shows_image else [instruction, text]
    return " ".join(piece for piece in pieces if piece).replace(" \n", "\n")


def _shows_image(task: Task) -> bool:
    return "image" in task.query_modality


class _Images:
    """Finds the images that rows name; a task of 1,000 lists names each file hundreds of times, so it looks once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._is_there: dict[Path, bool] = {}

    def __call__(self, path: str) -> ImageFile:
        file = inside(self._root, path)
        if file not in self._is_there:
            self._is_there[file] = file.is_file()
        if not self._is_there[file]:
            raise UnreadableMedia(f"{file} is not there")
        return ImageFile(file)
