"""Where the rows and files of a task are: on the hub, and in a folder that mirrors it.

A data folder looks like the hub's own (`TIGER-Lab/MMEB-V2` with its archives unpacked), with the data sets that hold
the rows beside it:

    DATA/image-tasks/MMEB/...                    images of the image tasks
    DATA/video-tasks/frames/video_cls/...        frames of the video tasks (video_cls, video_qa, video_ret, video_mret)
    DATA/rows/<owner>/<name>/...                 a data set of rows, as it is on the hub, pages of documents included

Rows that are not in the folder are streamed from the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.evaluation.tasks import Task
from vlm2vec_rag.extras import require

# folder of a task's frames under video-tasks/frames, where it is not <group>/<task>
_FRAME_FOLDERS = {"SmthSmthV2": "SSv2", "Charades-STA": "Charades_STA"}
_FRAME_GROUPS = {"V-CLS": "video_cls", "V-QA": "video_qa", "V-RET": "video_ret", "V-MRET": "video_mret"}
MVBENCH_SUBSETS = (
    *("episodic_reasoning", "action_sequence", "action_prediction", "action_antonym", "fine_grained_action"),
    *("unexpected_action", "object_existence", "object_interaction", "object_shuffle", "moving_direction"),
    *("action_localization", "scene_transition", "action_count", "moving_count", "moving_attribute"),
    *("state_change", "fine_grained_pose", "character_order", "egocentric_navigation", "counterfactual_inference"),
)


@dataclass(frozen=True, slots=True)
class HubPath:
    """A data set on the hub, out of `repo / config / split` in the task table."""

    repo: str
    configs: tuple[str | None, ...]
    split: str
    first_rows: int | None = None  # only so many rows count

    @classmethod
    def of(cls, task: Task) -> HubPath:
        repo, config, split = (part.strip() for part in task.hub_path.split(" / "))
        first = re.search(r"\(first (\d+) rows\)", split)
        configs: tuple[str | None, ...] = (config,)
        if config == "-":
            configs = (None,)
        elif "+" in config:
            configs = tuple(config.split("+"))
        elif task.parser == "mvbench":
            configs = MVBENCH_SUBSETS
        return cls(repo, configs, split.split(" (")[0], int(first[1]) if first else None)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder laid out as above."""

    root: Path
    offline: bool = False  # never ask the hub

    def rows(self, task: Task, config: str | None) -> Iterator[Mapping[str, Any]]:
        """Rows of one configuration of a task's data set, in their order; images as undecoded bytes.

        Raises:
            UnreadableMedia: They are neither here nor, where the hub may be asked, on the hub.
        """
        datasets = require("datasets", "eval")
        path = HubPath.of(task)
        mirror = self.root / "rows" / path.repo
        if not mirror.is_dir() and self.offline:
            raise UnreadableMedia(missing(task, f"{mirror} is not there"))
        try:
            rows = datasets.load_dataset(
                str(mirror) if mirror.is_dir() else path.repo, config, split=path.split, streaming=True
            )
            for column, feature in (rows.features or {}).items():
                if isinstance(feature, datasets.Image):
                    rows = rows.cast_column(column, datasets.Image(decode=False))
            yield from rows
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            what = f"{path.repo} ({config or 'default'}, {path.split}) cannot be read: {error}"
            raise UnreadableMedia(missing(task, what)) from error

    def image_root(self, task: Task) -> Path:
        """The folder that `qry_img_path` and `tgt_img_path` start from.

        Raises:
            UnreadableMedia: There is none.
        """
        for root in (self.root / "image-tasks" / "MMEB", self.root / "image-tasks"):
            if root.is_dir():
                return root
        raise UnreadableMedia(missing(task, f"{self.root / 'image-tasks'} is not there"))

    def frame_root(self, task: Task) -> Path:
        """The folder of a video task's frames.

        Raises:
            UnreadableMedia: Neither frames nor raw videos are here.
        """
        root = self.root / "video-tasks" / "frames" / frame_place(task)
        if root.is_dir() or self.video_root(task).is_dir():
            return root
        raise UnreadableMedia(missing(task, f"{root} is not there"))

    def video_root(self, task: Task) -> Path:
        """The folder of a video task's raw videos, which need not be there."""
        return self.root / "video-tasks" / "videos" / frame_place(task)


def frame_place(task: Task) -> str:
    """A video task's folder under `video-tasks/frames` and `video-tasks/videos`."""
    return f"{_FRAME_GROUPS[task.family]}/{_FRAME_FOLDERS.get(task.name, task.name)}"


def inside(root: Path, *parts: str) -> Path:
    """A path that a row names, under the folder it belongs to.

    Raises:
        InvalidInput: It leads out of the folder; rows come from the hub and are not to be trusted.
    """
    relative = PurePosixPath(*parts)
    if relative.is_absolute() or ".." in relative.parts:
        raise InvalidInput(f"the path {relative} leads out of {root}")
    return root / relative


def missing(task: Task, what: str) -> str:
    return f"{what}; run: vlm2vec-rag eval --download --tasks {task.name}"
