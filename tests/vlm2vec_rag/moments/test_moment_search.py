"""Moments of a video whose scenes are known: found, joined, and refined to about a cell."""

import shutil

import pytest
from colour_encoder import ColourEncoder
from composed_videos import compose, scene_image

import vlm2vec_rag as vr
from vlm2vec_rag import Query, samples
from vlm2vec_rag.collection import Filter
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.media import MediaReader, MediaSettings
from vlm2vec_rag.moments import Span, search_moments, search_videos, temporal_iou

SCENES = [(1, 40), (2, 33), (3, 62), (4, 20), (2, 25), (5, 40)]  # scene 2 comes twice
TRUTH = {1: [(0, 40)], 2: [(155, 180), (40, 73)], 3: [(73, 135)], 4: [(135, 155)], 5: [(180, 220)]}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    compose(folder / "many.mp4", SCENES)
    compose(folder / "one.mp4", [(7, 60)])
    return folder


@pytest.fixture(scope="module")
def reader():
    with MediaReader(MediaSettings(max_pixels=168 * 112)) as reader:
        yield reader


@pytest.fixture
def encoder():
    return ColourEncoder()


@pytest.fixture
def retriever(films, encoder):
    with vr.open(":memory:", encoder) as library:
        library.index(films)
        yield library.retriever


def asked(scene):
    return Query(frames=(scene_image(scene),) * 8)


def ious(hits, scene):
    """For each true stretch of a scene, how well the hit of the same rank covers it."""
    return [
        temporal_iou(Span(hit.start_s, hit.end_s, 0), Span(*truth, 0))
        for hit, truth in zip(hits, TRUTH[scene], strict=False)
    ]


def test_refined_moments_cover_their_scenes(retriever, reader, record_property):
    coarse, refined = [], []
    for scene, stretches in TRUTH.items():
        limit = len(stretches)
        coarse += ious(search_moments(asked(scene), retriever, limit=limit), scene)
        refined += ious(search_moments(asked(scene), retriever, limit=limit, reader=reader), scene)
    record_property("mean IoU of windows", sum(coarse) / len(coarse))
    record_property("mean IoU refined", sum(refined) / len(refined))
    assert len(refined) == 6 and min(refined) > 0.88
    assert sum(refined) / len(refined) > 0.93
    assert sum(coarse) / len(coarse) < 0.8


def test_a_film_of_one_scene_is_one_moment(retriever, reader):
    best = search_moments(asked(7), retriever, reader=reader)[0]
    assert best.place.endswith("one.mp4#t=0,60") and (best.start_s, best.end_s, best.score) == (0, 60, 1)


def test_the_cost_of_refining_is_bounded(retriever, reader, encoder):
    search_moments(asked(3), retriever, limit=5)
    before = encoder.encoded
    search_moments(asked(3), retriever, limit=5)
    questions = encoder.encoded - before
    before = encoder.encoded
    search_moments(asked(3), retriever, limit=5, reader=reader, max_cells=20)
    assert 0 < encoder.encoded - before - questions <= 20


def test_the_same_question_gives_the_same_moments(retriever, reader):
    first, second = (search_moments(asked(2), retriever, reader=reader) for _ in range(2))
    assert first == second


def test_moments_do_not_overlap_much(retriever, reader):
    hits = [hit for hit in search_moments(asked(2), retriever, limit=9, reader=reader) if "many" in hit.source]
    spans = [Span(hit.start_s, hit.end_s, hit.score) for hit in hits]
    assert all(temporal_iou(one, other) <= 0.3 for one in spans for other in spans if one is not other)


def test_whole_videos_by_mean_and_by_maximum(retriever):
    """Scene 2 is a quarter of one film; the maximum finds it, the mean asks what a film shows all along."""
    by_max = search_videos(asked(2), retriever, pool="max")
    assert by_max[0].source.endswith("many.mp4") and (by_max[0].start_s, by_max[0].end_s) == (0, 220)
    windows = {
        hit.id: hit for hit in retriever.search(asked(2), mode="dense", limit=50, filter=Filter(kinds=("clip",)))
    }
    cosines = {hit.source: [w.dense_score for w in windows.values() if w.source == hit.source] for hit in by_max}
    means = {source: sum(values) / len(values) for source, values in cosines.items()}
    by_mean = search_videos(asked(2), retriever, pool="mean", mode="dense")
    assert [hit.source for hit in by_mean] == sorted(means, key=means.get, reverse=True)


def test_a_filter_holds(retriever):
    hits = search_moments(asked(2), retriever, filter=Filter(paths=("*one.mp4",)))
    assert hits and all(hit.source.endswith("one.mp4") for hit in hits)
    with pytest.raises(InvalidInput, match="moments are parts of clips"):
        search_moments(asked(2), retriever, filter=Filter(kinds=("page",)))


def test_a_video_that_is_gone_keeps_the_edges_of_its_windows(films, encoder, reader, tmp_path, caplog):
    film = shutil.copy(films / "one.mp4", tmp_path)
    with vr.open(":memory:", encoder) as library:
        library.index(film)
        (tmp_path / "one.mp4").unlink()
        [hit] = search_moments(asked(7), library.retriever, reader=reader)
    assert hit.end_s - hit.start_s == 30 and "edges of a moment stay those of its windows" in caplog.text


@pytest.fixture(scope="module")
def words_only():
    with vr.open(":memory:", "none") as library:
        library.index(samples.folder() / "big-buck-bunny.mp4")
        yield library.retriever


@pytest.mark.parametrize(
    ("question", "truth"),
    [("a butterfly flutters around the bunny's head", (60, 64)), ("a red apple drops", (68, 70.4))],
)
def test_by_words_alone_the_subtitles_give_the_edges(words_only, reader, question, truth):
    """The windows are 30 s long; what is said is said for a few seconds."""
    [coarse] = search_moments(question, words_only, limit=1)
    [hit] = search_moments(question, words_only, limit=1, reader=reader)
    assert coarse.end_s - coarse.start_s >= 20
    middle = sum(truth) / 2
    assert hit.start_s <= middle <= hit.end_s and hit.end_s - hit.start_s < 15


def test_what_was_said_counts_beside_what_is_seen(encoder, tmp_path):
    """Both halves look the same; the subtitles tell them apart."""
    compose(tmp_path / "talk.mp4", [(1, 100)])
    (tmp_path / "talk.srt").write_text("1\n00:01:00,000 --> 00:01:04,000\nwe tune the violin\n")
    with vr.open(":memory:", encoder) as library:
        library.index(tmp_path)
        [best] = library.moments("the violin", limit=1, refine=False)
        [by_looks] = library.moments("the violin", limit=1, mode="dense", refine=False)
    assert best.start_s == 50 and best.bm25_score > 0
    assert by_looks.start_s != 50


def test_nothing_found_is_no_moment(words_only):
    assert search_moments("zeppelin", words_only) == [] and search_videos("zeppelin", words_only) == []


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"videos": 0}, {"max_cells": 0}, {"keep": 2}])
def test_numbers_that_make_no_sense_are_refused(retriever, wrong):
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        search_moments(asked(1), retriever, **wrong)
    with pytest.raises(InvalidInput, match="pool is 'median'"):
        search_videos(asked(1), retriever, pool="median")
