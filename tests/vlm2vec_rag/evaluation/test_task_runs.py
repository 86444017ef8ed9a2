"""Whole runs on the miniature: scores, resuming, caching, and what is reported when files are missing or broken."""

import dataclasses
import json
import logging

import numpy as np
import pytest

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.parsers import read_task
from vlm2vec_rag.evaluation.run import RunSettings, choose_tasks, earlier_results, results_folder, run
from vlm2vec_rag.evaluation.tasks import TASKS
from vlm2vec_rag.evaluation.vector_cache import VectorCache

ONE_PER_FAMILY = (
    *("ImageNet-1K", "OK-VQA", "CIRR", "RefCOCO-Matching", "Breakfast", "Video-MME", "MSVD", "QVHighlight"),
    *("MomentSeeker", "ViDoRe_arxivqa"),
)


class Counting:
    """The tiny encoder, counting what it is asked to encode, and stopping where it is told to."""

    def __init__(self, encoder, stop_after=None):
        self._encoder, self.encoded, self._stop_after = encoder, 0, stop_after

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_prompts(self, prompts, visuals, *, progress=None):
        if self._stop_after is not None and self.encoded >= self._stop_after:
            raise KeyboardInterrupt
        self.encoded += len(prompts)
        return self._encoder.encode_prompts(prompts, visuals, progress=progress)


def settings(hub, tmp_path, **values):
    return RunSettings(folder=hub.folder, out=tmp_path / "out", **values)


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_a_task_scores_what_its_vectors_say(mini, tmp_path, tiny_encoder, name):
    hub = mini(name)
    (result,) = run([TASKS[name]], tiny_encoder, settings(hub, tmp_path))
    assert (result.status, result.n_left_out) == ("scored", 0), result.notes
    assert result.low <= result.score <= result.high
    assert result.score == pytest.approx(slowly(TASKS[name], hub.folder, tiny_encoder))
    lines = (results_folder(settings(hub, tmp_path), tiny_encoder) / f"{name}.predictions.jsonl").read_text()
    predictions = [json.loads(line) for line in lines.splitlines()]
    assert np.mean([line[result.metric] for line in predictions]) == pytest.approx(result.score)


def slowly(task, folder, encoder):
    """Headline by definition: one input at a time, one sorted list per query."""
    data = read_task(task, folder)

    def vector(example):
        return encoder.encode_prompts([example.prompt], [example.visual.load() if example.visual else None])[0]

    candidates = {each.name: vector(each) for each in data.candidates()}
    values = []
    for query in data.queries:
        asked = vector(query.example)
        names = sorted(query.candidates or candidates, reverse=True)
        names.sort(key=lambda name: -float(candidates[name] @ asked))
        if task.metric == "hit@1":
            values.append(float(names[0] in query.relevance))
            continue
        gains = [query.relevance.get(name, 0) / np.log2(i + 2) for i, name in enumerate(names[:5])]
        ideal = sorted(query.relevance.values(), reverse=True)[:5]
        values.append(sum(gains) / sum(gain / np.log2(i + 2) for i, gain in enumerate(ideal)))
    return np.mean(values)


def test_a_second_run_encodes_nothing_and_finds_the_same(mini, tmp_path, tiny_encoder):
    hub = mini("MSVD")
    first = run([TASKS["MSVD"]], tiny_encoder, settings(hub, tmp_path))
    counting = Counting(tiny_encoder)
    again = run([TASKS["MSVD"]], counting, settings(hub, tmp_path))
    assert counting.encoded == 0
    assert again[0].metrics == first[0].metrics


def test_a_run_that_was_killed_goes_on_where_it_was(mini, tmp_path, tiny_encoder, monkeypatch):
    monkeypatch.setattr("vlm2vec_rag.evaluation.vector_cache.VISUALS_PER_CHUNK", 1)
    hub = mini("MSVD")  # three texts in one chunk, three videos in one each
    with pytest.raises(KeyboardInterrupt):
        run([TASKS["MSVD"]], Counting(tiny_encoder, stop_after=5), settings(hub, tmp_path))
    rest = Counting(tiny_encoder)
    (result,) = run([TASKS["MSVD"]], rest, settings(hub, tmp_path))
    assert rest.encoded == 1
    assert result.status == "scored"


def test_another_pixel_budget_finds_an_empty_cache_and_no_results(mini, tmp_path, tiny_encoder, load_tiny):
    hub, task = mini("ViDoRe_arxivqa"), TASKS["ViDoRe_arxivqa"]
    run([task], tiny_encoder, settings(hub, tmp_path))
    n_inputs = len(list(read_task(task, hub.folder).candidates())) + 2
    other = Counting(load_tiny(max_pixels=tiny_encoder.max_pixels // 2))
    assert earlier_results(settings(hub, tmp_path), other) == []
    run([task], other, settings(hub, tmp_path))
    assert other.encoded == n_inputs
    assert len(list((tmp_path / "out" / "vectors").iterdir())) == 2


def test_a_result_of_an_older_way_of_encoding_is_not_counted(mini, tmp_path, tiny_encoder):
    made = settings(mini("ViDoRe_arxivqa"), tmp_path)
    (result,) = run([TASKS["ViDoRe_arxivqa"]], tiny_encoder, made)
    assert earlier_results(made, tiny_encoder) == [result]
    older = dataclasses.replace(result, settings={**result.settings, "format": 0})
    older.save(results_folder(made, tiny_encoder))
    assert earlier_results(made, tiny_encoder) == []


def test_another_number_type_finds_an_empty_cache(tmp_path, tiny_encoder, load_tiny):
    half = load_tiny(dtype="bfloat16")
    assert VectorCache(tmp_path, half).folder != VectorCache(tmp_path, tiny_encoder).folder


def test_a_changed_frame_is_encoded_again(mini, tmp_path, tiny_encoder):
    hub = mini("MSVD")
    run([TASKS["MSVD"]], tiny_encoder, settings(hub, tmp_path))
    hub.image_file("video-tasks/frames/video_ret/MSVD/clip0/frame_0001.jpg", "something else altogether")
    counting = Counting(tiny_encoder)
    run([TASKS["MSVD"]], counting, settings(hub, tmp_path))
    assert counting.encoded == 3  # the chunk of the three videos; the captions are as they were


def test_a_damaged_chunk_is_encoded_again(mini, tmp_path, tiny_encoder, caplog):
    hub = mini("MSVD")
    (first,) = run([TASKS["MSVD"]], tiny_encoder, settings(hub, tmp_path))
    chunks = list((tmp_path / "out" / "vectors").glob("*/*.npy"))
    chunks[0].write_bytes(chunks[0].read_bytes()[:50])
    with caplog.at_level(logging.WARNING):
        (again,) = run([TASKS["MSVD"]], tiny_encoder, settings(hub, tmp_path))
    assert "is damaged and is encoded again" in caplog.text
    assert again.metrics == first.metrics


def test_processes_share_the_chunks_and_find_the_same(mini, tmp_path, tiny_encoder, monkeypatch):
    monkeypatch.setattr("vlm2vec_rag.evaluation.vector_cache.VISUALS_PER_CHUNK", 1)
    videos = list(read_task(TASKS["MSVD"], mini("MSVD").folder).candidates())
    counts = []
    for rank in range(2):
        counting = Counting(tiny_encoder)
        VectorCache(tmp_path / "shared", counting, rank=rank, world=2).fill(videos)
        counts.append(counting.encoded)
    assert counts == [2, 1]
    nothing = Counting(tiny_encoder)
    shared = VectorCache(tmp_path / "shared", nothing).encode(videos)
    assert nothing.encoded == 0
    alone = VectorCache(tmp_path / "alone", tiny_encoder).encode(videos)
    np.testing.assert_array_equal(shared.vectors, alone.vectors)


def test_a_page_that_cannot_be_read_ranks_last_and_is_reported(hub, mini, tmp_path, tiny_encoder):
    mini("ViDoRe_arxivqa")
    pages = [b"no image", hub.image_file("p1.png").read_bytes()]
    corpus = [{"corpus-id": i, "image": {"bytes": page, "path": None}} for i, page in enumerate(pages)]
    hub.rows("ViDoRe_arxivqa", corpus, config="corpus")
    (result,) = run([TASKS["ViDoRe_arxivqa"]], tiny_encoder, settings(hub, tmp_path))
    assert result.status == "partial"
    assert result.notes[0] == "1 candidates could not be read and rank last"
    assert "page 0 is no readable image" in result.notes[1]


def test_a_query_whose_image_is_broken_is_left_out(mini, tmp_path, tiny_encoder):
    hub = mini("OK-VQA")
    (hub.root / "image-tasks/MMEB/OK-VQA/q0.png").write_bytes(b"no image")
    (result,) = run([TASKS["OK-VQA"]], tiny_encoder, settings(hub, tmp_path))
    assert (result.status, result.n_queries, result.n_left_out) == ("partial", 1, 1)
    assert "q0.png is no readable image" in result.notes[1]


def test_a_task_without_files_is_reported_and_the_next_one_runs(mini, tmp_path, tiny_encoder):
    hub = mini("Video-MME")
    missing, scored = run([TASKS["MSVD"], TASKS["Video-MME"]], tiny_encoder, settings(hub, tmp_path))
    assert missing.status == "missing"
    assert missing.notes[0].endswith("run: vlm2vec-rag eval --download --tasks MSVD")
    assert scored.status == "scored"
    assert [result.task for result in earlier_results(settings(hub, tmp_path), tiny_encoder)] == ["Video-MME", "MSVD"]


def test_a_surprise_in_one_task_does_not_cost_the_next(mini, tmp_path, tiny_encoder, caplog):
    class Surprising(Counting):
        def encode_prompts(self, prompts, visuals, *, progress=None):
            if any("summary" in prompt for prompt in prompts):  # MSVD's instruction
                raise ZeroDivisionError("a bug")
            return super().encode_prompts(prompts, visuals, progress=progress)

    hub = mini("MSVD", "Video-MME")
    failed, scored = run([TASKS["MSVD"], TASKS["Video-MME"]], Surprising(tiny_encoder), settings(hub, tmp_path))
    assert (failed.status, failed.notes) == ("failed", ("ZeroDivisionError: a bug",))
    assert "MSVD failed" in caplog.text  # with its traceback
    assert scored.status == "scored"


def test_a_limit_and_the_public_scorer_have_results_of_their_own(mini, tmp_path, tiny_encoder):
    hub = mini("ViDoRe_arxivqa")
    whole, limited = settings(hub, tmp_path), settings(hub, tmp_path, limit=1)
    public = settings(hub, tmp_path, as_public=True)
    for each in (whole, limited, public):
        run([TASKS["ViDoRe_arxivqa"]], tiny_encoder, each)
    assert len({results_folder(each, tiny_encoder) for each in (whole, limited, public)}) == 3
    (only_first,) = earlier_results(limited, tiny_encoder)
    assert (only_first.status, only_first.n_queries) == ("partial", 1)
    assert earlier_results(public, tiny_encoder)[0].score == earlier_results(whole, tiny_encoder)[0].score


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        *(("all", 78), ("image", 36), ("video", 18), ("visdoc", 24), ("I-VG", 4), ("vidore", 14), ("ViDoRe-V2", 4)),
        *(("msvd", 1), ("MSVD, video", 18), ("image,MSVD", 37)),
    ],
)
def test_tasks_are_chosen_by_name_family_and_modality(asked, count):
    assert len(choose_tasks([asked])) == count


def test_a_wrong_task_names_what_is_near():
    with pytest.raises(InvalidInput, match=r"no task 'MSVDD'; near it: MSVD.*Groups are all, image, video, visdoc"):
        choose_tasks(["MSVDD"])
    with pytest.raises(InvalidInput, match="no task was named"):
        choose_tasks([""])
    with pytest.raises(InvalidInput, match="limit=0"):
        RunSettings(folder=None, out=None, limit=0)
