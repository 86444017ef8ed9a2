"""The leaderboard's page and chart: complete, honest about what is missing, and closed to markup from outside."""

from PIL import Image

from vlm2vec_rag.evaluation.baselines import published
from vlm2vec_rag.evaluation.report import write_report
from vlm2vec_rag.evaluation.results import TaskResult
from vlm2vec_rag.evaluation.tasks import TASKS


def results(scores, **changed):
    return [
        changed.get(name, TaskResult(task=name, metric=TASKS[name].metric, status="scored", score=value / 100))
        for name, value in scores.items()
    ]


def test_a_full_run_shows_the_published_means_as_its_own(tmp_path):
    page, chart = write_report(tmp_path, "mine", results(published()["VLM2Vec-V2.0", "v2.0.0"]))
    text = page.read_text()
    for value in ("64.9", "34.6", "65.4", "58.0"):
        assert f"<b>{value}</b>" in text
    assert "78 of 78 tasks scored whole" in text
    assert "VLM2Vec-V2.0: 69.2" in text  # visual documents, on the corrected page tasks
    assert all(name in text for name in TASKS)
    with Image.open(chart) as image:
        assert image.width > 1000


def test_a_task_without_a_score_takes_the_mean_s_completeness_away(tmp_path):
    missing = TaskResult(task="MSVD", metric="hit@1", status="missing", notes=("<script>alert(1)</script>",))
    page, _ = write_report(tmp_path, "<b>mine", results(published()["GME-2B", "v2.0.0"], MSVD=missing))
    text = page.read_text()
    assert "77 of 78 tasks scored whole · 1 without a score" in text
    assert "17 of 18 tasks" in text
    assert "missing; &lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text
    assert "<b>mine" not in text


def test_nothing_at_all_is_still_a_page(tmp_path):
    page, _ = write_report(tmp_path, "mine", [])
    assert "0 of 78 tasks scored whole" in page.read_text()
