"""The leaderboard reproduces the published means and never passes part of a benchmark off as the whole."""

import csv

import pytest

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.baselines import PAGE_FIXED_TASKS, published, video_labels
from vlm2vec_rag.evaluation.leaderboard import means, write_csv
from vlm2vec_rag.evaluation.results import TaskResult
from vlm2vec_rag.evaluation.tasks import TASKS


@pytest.mark.parametrize(
    ("model", "version", "expected"),
    [
        ("VLM2Vec-V2.0", "v2.0.0", [64.9, 34.6, 65.4, 58.0]),  # the paper, arXiv:2507.04590
        ("VLM2Vec-V2.0", "v2.0.1", [64.9, 34.7, 64.8, 57.9]),
        ("VLM2Vec-V2.0", "page-fixed", [64.9, 34.6, 69.2, 59.2]),  # as the Qwen3-VL-Embedding README has them
        ("GME-2B", "page-fixed", [51.9, 33.6, 76.6, 55.3]),
        ("GME-7B", "page-fixed", [56.0, 38.4, 79.3, 59.1]),
    ],
)
def test_the_published_means_come_out_of_the_shipped_rows(model, version, expected):
    found = means(published()[model, version])
    assert [found[group].n_tasks for group in ("image", "video", "visdoc", "all")] == [36, 18, 24, 78]
    values = [found[group].value for group in ("image", "video", "visdoc", "all")]
    assert values == pytest.approx(expected, abs=0.06)


def test_every_published_column_covers_every_task():
    for column in published().values():
        assert set(column) == set(TASKS)


def test_only_the_two_corrected_tasks_differ_between_the_paper_and_page_fixed():
    for model in {model for model, _ in published()}:
        paper, fixed = published()[model, "v2.0.0"], published()[model, "page-fixed"]
        assert {task for task in TASKS if paper[task] != fixed[task]} == set(PAGE_FIXED_TASKS)


def test_the_video_label_sets_have_their_known_sizes():
    assert {task: len(labels) for task, labels in video_labels().items()} == {
        "K700": 700,
        "UCF101": 101,
        "HMDB51": 51,
        "Breakfast": 10,
    }


def test_the_csv_has_a_row_per_task_then_the_means(tmp_path):
    perfect = [TaskResult(task=name, metric=task.metric, status="scored", score=1.0) for name, task in TASKS.items()]
    write_csv(tmp_path / "out" / "leaderboard.csv", "mine", perfect)
    with (tmp_path / "out" / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["task"] for row in rows[:78]] == list(TASKS)
    assert [row["task"] for row in rows[78:]] == [
        "mean image (36)",
        "mean video (18)",
        "mean visdoc (24)",
        "mean all (78)",
    ]
    assert [row["mine"] for row in rows] == ["100.00"] * 82
    assert [row["VLM2Vec-V2.0 (v2.0.0)"] for row in rows[78:]] == ["64.85", "34.58", "65.36", "58.02"]
    by_task = {row["task"]: row for row in rows}
    assert by_task["ViDoSeek-page"]["data"] == "page-fixed"
    assert by_task["ViDoSeek-page"]["VLM2Vec-V2.0 (v2.0.0)"] == "21.94"
    assert by_task["ViDoSeek-page"]["VLM2Vec-V2.0 (page-fixed)"] == "80.30"


def test_a_mean_over_part_of_the_tasks_says_so(tmp_path):
    results = [
        TaskResult(task="MSVD", metric="hit@1", status="partial", score=0.5, n_queries=9, n_left_out=1, notes=("why",)),
        TaskResult(task="MVBench", metric="hit@1", status="missing", notes=("download it",)),
    ]
    write_csv(tmp_path / "leaderboard.csv", "mine", results)
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        rows = {row["task"]: row for row in csv.DictReader(file)}
    assert (rows["MSVD"]["mine"], rows["MSVD"]["status"], rows["MSVD"]["notes"]) == ("50.00", "partial", "why")
    assert (rows["MVBench"]["mine"], rows["MVBench"]["status"]) == ("", "missing")
    assert rows["UCF101"]["status"] == "not run"
    assert (rows["mean video (18)"]["mine"], rows["mean video (18)"]["data"]) == ("50.00", "1 of 18 tasks")
    assert rows["mean video (18)"]["status"] == "incomplete"
    assert rows["mean image (36)"]["mine"] == ""


def test_a_result_survives_the_disk_and_a_broken_file_is_named(tmp_path):
    result = TaskResult(task="MSVD", metric="hit@1", status="scored", score=0.25, metrics={"hit@5": 0.5}, notes=("a",))
    assert TaskResult.load(result.save(tmp_path)) == result
    (tmp_path / "bad.json").write_text('{"task": "MSVD"')
    with pytest.raises(InvalidInput, match=r"bad\.json is no task result.*run the task again"):
        TaskResult.load(tmp_path / "bad.json")
