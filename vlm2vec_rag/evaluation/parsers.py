"""From a task's name to the parser that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from vlm2vec_rag.evaluation import image_tasks, video_tasks, visdoc_tasks
from vlm2vec_rag.evaluation.examples import TaskData
from vlm2vec_rag.evaluation.hub_layout import DataFolder
from vlm2vec_rag.evaluation.tasks import Task

Parser: TypeAlias = Callable[[Task, DataFolder, int | None], TaskData]

PARSERS: Mapping[str, Parser] = MappingProxyType(
    {
        "image_cls": image_tasks.image_to_text,
        "image_qa": image_tasks.image_to_text,
        "image_i2t": image_tasks.image_to_text,
        "image_t2i": image_tasks.to_image,
        "image_i2i_vg": image_tasks.to_image,
        "video_classification": video_tasks.classification,
        "ssv2": video_tasks.classification,
        **dict.fromkeys(
            ("mvbench", "videomme", "nextqa", "egoschema", "activitynetqa"), video_tasks.question_answering
        ),
        **dict.fromkeys(("didemo", "msrvtt", "msvd", "vatex", "youcook2"), video_tasks.retrieval),
        "moment_retrieval": video_tasks.moments,
        "momentseeker": video_tasks.moment_seeker,
        "vidore": visdoc_tasks.visual_documents,
        "visrag": visdoc_tasks.visual_documents,
    }
)


def read_task(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """Queries and candidates of a task.

    Args:
        task: One of the 78.
        folder: Where its files are.
        limit: Only the first so many queries; candidates stay complete.

    Raises:
        UnreadableMedia: Its files are missing; the message says how to get them.
    """
    return PARSERS[task.parser](task, folder, limit)
