"""The 18 video tasks: classification, question answering, retrieval and moment retrieval.

Moment retrieval is ranking, not localisation: a query is compared with clips cut beforehand, and no time is predicted.

Source: VLM2Vec `src/data/eval_dataset/` at 6e1e1d4, one parser per data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from vlm2vec_rag.encoder.base import Shown
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia
from vlm2vec_rag.evaluation.baselines import video_labels
from vlm2vec_rag.evaluation.examples import Collector, Example, FrameFiles, ImageFile, TaskData, TaskQuery
from vlm2vec_rag.evaluation.frames import Keeping, frame_files
from vlm2vec_rag.evaluation.hub_layout import DataFolder, HubPath, inside
from vlm2vec_rag.evaluation.tasks import Task

Row = Mapping[str, Any]


def classification(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """A video to its class, out of all classes of the task, or out of the row's own list (SmthSmthV2)."""
    collector, frames = Collector(), _Frames(task, folder)
    labels = video_labels().get(task.name)
    for label in labels or ():
        collector.candidates[label] = Example(label, label)

    def take(row: Row) -> None:
        answer = row["pos_text"]
        own = tuple(dict.fromkeys(row["neg_text"])) if labels is None else labels
        query = Example("", task.query_prompt("", "video"), frames(str(row["video_id"]), f"{row['video_id']}.mp4"))
        asked = TaskQuery(query, {answer: 1.0}, own)
        collector.add(asked, [Example(label, label) for label in own])

    collector.each(_rows(task, folder), _least(limit, HubPath.of(task).first_rows), take)
    return collector.data()


def question_answering(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """A video and a question to one of the row's own answers."""
    collector, frames = Collector(), _Frames(task, folder, keeping="stepped")
    read = _QUESTIONS[task.parser]

    def take(row: Row) -> None:
        question, answers, right, video = read(row)
        query = Example("", task.query_prompt(question, "video"), frames(*video))
        collector.add(
            TaskQuery(query, {right: 1.0}, tuple(answers)), [Example(name, text) for name, text in answers.items()]
        )

    collector.each(_rows(task, folder), limit, take)
    return collector.data()


def retrieval(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """A caption to its video, out of all videos of the task."""
    collector, frames = Collector(), _Frames(task, folder)
    read = _CAPTIONS[task.parser]

    def take(row: Row) -> None:
        name, file, caption = read(row)
        name = str(name)  # some data sets number their videos
        video = Example(name, task.target_prompt("", "video"), frames(name, file))
        collector.add(TaskQuery(Example("", task.query_prompt(_words(caption))), {name: 1.0}), [video])

    # all rows are candidates, also where only the first are asked
    rows = list(_rows(task, folder))
    collector.each(rows, None, take)
    data = collector.data()
    if limit is None or limit >= len(rows):
        return data
    return TaskData(data.queries[:limit], data.candidates, data.left_out, [*data.notes, f"only the first {limit} rows"])


def moments(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """A video and a sentence to the clip of that video which shows it; `positive*` folders hold the right clips."""
    collector, root = Collector(), folder.frame_root(task)

    def take(row: Row) -> None:
        video = PurePosixPath(row["video_path"]).stem
        clips = inside(root, video)
        query = Example("", task.query_prompt(_words(row["query"]), "video"), frame_files(clips / "query"))
        # sorted, and named from the task's folder: the same on every machine
        names = sorted(path.name for path in clips.iterdir() if path.is_dir() and path.name != "query")
        candidates = [
            Example(f"{video}/{name}", task.target_prompt("", "video"), frame_files(clips / name)) for name in names
        ]
        relevance = {f"{video}/{name}": 1.0 for name in names if name.startswith("positive")}
        if not relevance:
            raise InvalidInput(f"no folder of {clips} starts with 'positive'")
        collector.add(TaskQuery(query, relevance, tuple(each.name for each in candidates)), candidates)

    collector.each(_rows(task, folder), limit, take)
    return collector.data()


def moment_seeker(task: Task, folder: DataFolder, limit: int | None = None) -> TaskData:
    """A sentence, alone or with an image or a clip, to a clip; every frame that is kept is shown."""
    collector, root = Collector(), folder.frame_root(task)

    def clip(path: str) -> tuple[str, FrameFiles]:
        name = path.replace("/", "_").split(".mp4")[0]
        return name, frame_files(inside(root, "video_frames", name), shown=None)

    def take(row: Row) -> None:
        shown, visual = _shown_by(row["input_frames"] or "", root, clip)
        prompt = task.query_prompt(_words(row["query"]), shown)
        right = [clip(each["output_path"]) for each in row["positive_frames"]]
        wrong = [clip(each["output_path"]) for each in row["negative_frames"]]
        target = task.target_prompt("", "video")
        candidates = {name: Example(name, target, frames) for name, frames in [*right, *wrong]}
        collector.add(
            TaskQuery(Example("", prompt, visual), {name: 1.0 for name, _ in right}, tuple(candidates)),
            list(candidates.values()),
        )

    collector.each(_rows(task, folder), limit, take)
    return collector.data()


def _shown_by(
    path: str, root: Path, clip: Callable[[str], tuple[str, FrameFiles]]
) -> tuple[Shown, FrameFiles | ImageFile | None]:
    """What a MomentSeeker query shows, by the ending of its file."""
    if path.endswith(".mp4"):
        return "video", clip(path)[1]
    if not path.endswith(".jpg"):
        return "", None
    image = ImageFile(inside(root, f"query_{path}"))
    if not image.path.is_file():
        raise UnreadableMedia(f"{image.path} is not there")
    return "image", image


class _Frames:
    """Finds the frames of a task's videos: folder of frames, and the raw video it may be cut from."""

    def __init__(self, task: Task, folder: DataFolder, keeping: Keeping = "even") -> None:
        self._root, self._videos, self._keeping = folder.frame_root(task), folder.video_root(task), keeping

    def __call__(self, name: str, video: str) -> FrameFiles:
        return frame_files(inside(self._root, name), video=inside(self._videos, video), keeping=self._keeping)


# question, name -> answer, right name, frames and file
MultipleChoice = tuple[str, Mapping[str, str], str, tuple[str, str]]


def _mvbench(row: Row) -> MultipleChoice:
    question, lettered = _lettered(_words(row["question"]), row["candidates"])
    right = lettered[list(row["candidates"]).index(row["answer"])]
    # the letter is part of what the model reads as an answer, here only
    return question, {each: each for each in lettered}, right, (f"{row['subset']}/{row['video']}", row["video"])


def _nextqa(row: Row) -> MultipleChoice:
    answers = [row[f"a{i}"] for i in range(5)]
    question, _ = _lettered(_words(row["question"]), answers)
    return question, {each: each for each in answers}, answers[int(row["answer"])], _mp4(row["video"])


def _videomme(row: Row) -> MultipleChoice:
    options = list(row["options"])
    right = options["ABCD".index(row["answer"])]
    return "\n".join([_words(row["question"]), *options]), _without_letters(options), right, _mp4(row["videoID"])


def _egoschema(row: Row) -> MultipleChoice:
    options = list(row["option"])
    question = _words(row["question"]) + " ".join(options)  # nothing between the question and the first option
    return question, _without_letters(options), options[int(row["answer"])], _mp4(row["video_idx"])


def _activitynetqa(row: Row) -> MultipleChoice:
    answers = {"yes": "yes", "no": "no"}
    return _words(row["question"]) + "? (A) yes; (B) no.", answers, row["answer"], _mp4(f"v_{row['video_name']}")


_QUESTIONS: Mapping[str, Callable[[Row], MultipleChoice]] = {
    "mvbench": _mvbench,
    "nextqa": _nextqa,
    "videomme": _videomme,
    "egoschema": _egoschema,
    "activitynetqa": _activitynetqa,
}
# name of the video, its file, and the caption that asks for it; of several captions the first
_CAPTIONS: Mapping[str, Callable[[Row], tuple[str, str, str]]] = {
    "didemo": lambda row: (PurePosixPath(row["video"]).stem, PurePosixPath(row["video"]).name, row["caption"]),
    "msrvtt": lambda row: (row["video_id"], row["video"], row["caption"]),
    "msvd": lambda row: (row["video_id"], row["video"], row["caption"][0]),
    "vatex": lambda row: (row["videoID"], f"{row['videoID']}.mp4", row["enCap"][0]),
    "youcook2": lambda row: (row["id"], PurePosixPath(row["video_path"]).name, row["sentence"]),
}


def _lettered(question: str, answers: Sequence[str]) -> tuple[str, list[str]]:
    lettered = [f"({chr(ord('A') + i)}) {answer}" for i, answer in enumerate(answers)]
    return "\n".join([f"{question}\nOptions:", *lettered]).rstrip(), lettered


def _without_letters(options: Sequence[str]) -> dict[str, str]:
    """`A. Red.` is named by itself and read as `Red`."""
    return {option: option[option.find(". ") :].strip(". ") for option in options}


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"expected words, got {value!r}")
    return value


def _mp4(video: object) -> tuple[str, str]:
    return str(video), f"{video}.mp4"


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _rows(task: Task, folder: DataFolder) -> Iterable[Row]:
    configs = HubPath.of(task).configs
    if len(configs) == 1:
        return folder.rows(task, configs[0])
    return chain.from_iterable(({**row, "subset": config} for row in folder.rows(task, config)) for config in configs)
