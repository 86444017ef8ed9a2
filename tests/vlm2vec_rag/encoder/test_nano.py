"""The model that comes with the package reads real pages, is taken when no other is at hand, and never by mistake."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlm2vec_rag import load_encoder, samples
from vlm2vec_rag.collection.fusion import reciprocal_rank_fusion
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.encoder.locate import NANO_FOLDER
from vlm2vec_rag.encoder.names import DEFAULT_MODEL, NANO
from vlm2vec_rag.errors import ModelNotFound
from vlm2vec_rag.evaluation.metrics import ndcg, rank
from vlm2vec_rag.media import MediaReader

# one for each page of a manual whose package training never saw, in the page's own words
QUESTIONS = (
    "ReportLab PDF Library User Guide",
    "the label's displacement and angle of rotation",
    "Two isolated axes",
    "YValueAxis",
    "How far to the left of the axis should the tick marks protrude?",
    "An axis with non-equidistant tick marks",
    "the top-level properties of the VerticalBarChart class",
    "spacing between bars in each group",
    "Stacking bars on top of each other",
    "HorizontalLineChart sample",
    "LinePlot sample",
    "A bare bones pie chart",
    "How far out should the slice stick from the pie?",
    "border color for the label text",
    "An example of pointers crossing",
    "Legends and remaining issues",
)


@pytest.fixture(scope="module")
def nano():
    return load_encoder(NANO, device="cpu", dtype="float32")


@pytest.mark.slow
def test_it_reads_pages_by_their_pixels_alone(nano):
    with MediaReader() as reader:
        pages = [replace(page, text="") for page in reader.items(samples.folder() / "reportlab-charts.pdf")]
    assert len(pages) == len(QUESTIONS)
    vectors = nano.encode_items(pages)
    questions = nano.encode_queries(QUESTIONS, target="page")
    names = [str(number) for number in range(len(pages))]
    found = [
        ndcg(rank((vectors @ question).astype(np.float64), names), {str(right): 1.0}, 5)
        for right, question in enumerate(questions)
    ]
    assert np.mean(found) > 0.5  # chance: 0.18


def test_it_is_small_whole_and_says_its_weight(nano):
    assert sum(path.stat().st_size for path in NANO_FOLDER.iterdir()) < 30e6
    assert nano.fingerprint.model == NANO and nano.dim == 640
    assert 0 < nano.fingerprint.dense_weight <= 1 and nano.fingerprint.matches_words


def test_equal_words_in_upper_and_lower_case_are_one(nano):
    lower, upper = nano.encode_queries(["pie chart", "PIE Chart"])
    np.testing.assert_allclose(lower, upper, atol=1e-6)


def test_it_never_stands_in_for_a_model_that_was_asked_for(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for asked in (None, DEFAULT_MODEL):
        with pytest.raises(ModelNotFound, match="cannot get the model"):
            load_encoder(asked)


def test_a_folder_of_its_name_is_reached_by_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NANO).mkdir()
    assert find_model(NANO).base == NANO_FOLDER
    for path in (f"./{NANO}", Path(NANO)):
        with pytest.raises(ModelNotFound, match=r"has no config\.json"):
            find_model(path)


def test_beside_words_its_ranking_never_changes_the_order_of_their_first_ten(nano):
    words = [f"{place:03}" for place in range(200)]
    weight = nano.fingerprint.dense_weight
    for pixels in (words[::-1], words[10:] + words[9::-1], [*words[1:11], words[0], *words[11:]], words[50:]):
        fused = [page for page, _ in reciprocal_rank_fusion([words, pixels], weights=[1.0, weight])]
        assert fused[:10] == words[:10]
    fused = reciprocal_rank_fusion([words[:1], words[::-1]], weights=[1.0, weight])
    assert [page for page, _ in fused[:2]] == [words[0], words[-1]]  # where words say nothing, the pixels do
