"""The encoder inside mteb's own harness, on tasks made in memory: nothing is fetched."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.evaluation.mteb_model import MtebModel

pytestmark = [
    pytest.mark.slow,  # importing mteb takes seconds
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


class Recording:
    """The tiny encoder, keeping the prompts it was given."""

    def __init__(self, encoder):
        self._encoder, self.asked, self.visuals = encoder, [], []

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_prompts(self, prompts, visuals, *, progress=None):
        self.asked += prompts
        self.visuals += visuals
        return self._encoder.encode_prompts(prompts, visuals, progress=progress)


@pytest.fixture
def recording(tiny_encoder):
    return Recording(tiny_encoder)


def colour(i):
    return Image.new("RGB", (84, 56), (40 * i, 255 - 40 * i, 90))


def retrieval_task(name, kind, category, corpus, queries):
    """A retrieval task of mteb whose data is already here."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class InMemory(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name,
            description="A task in memory",
            dataset={"path": "in/memory", "revision": "1"},
            type=kind,
            category=category,
            modalities=["text", "image"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_5",
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )

        def load_data(self, *_, **__):
            relevant = {f"q{i}": {f"d{i}": 1} for i in range(len(queries))}
            split = {
                "corpus": corpus,
                "queries": Dataset.from_list(queries),
                "relevant_docs": relevant,
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return InMemory()


def images(n):
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    rows = {"id": [f"d{i}" for i in range(n)], "image": [colour(i) for i in range(n)], "modality": ["image"] * n}
    features = Features({"id": Value("string"), "image": ImageFeature(), "modality": Value("string")})
    return Dataset.from_dict(rows, features=features)


def test_a_page_task_runs_in_mteb_and_scores_what_the_vectors_say(recording):
    import mteb

    queries = [{"id": f"q{i}", "text": f"question {i}", "modality": "text"} for i in range(4)]
    task = retrieval_task("InMemoryPages", "DocumentUnderstanding", "t2i", images(5), queries)
    result = mteb.evaluate(
        MtebModel(recording), task, cache=None, show_progress_bar=False, encode_kwargs={"batch_size": 2}
    )
    found = result.task_results[0].scores["test"][0]["ndcg_at_5"]

    assert set(recording.asked) == {
        *(f"Find a document image that matches the given query: question {i}" for i in range(4)),
        "<|image_pad|> Understand the content of the provided document image.",
    }
    asked = recording._encoder.encode_prompts(
        [f"Find a document image that matches the given query: question {i}" for i in range(4)], [None] * 4
    )
    pages = recording._encoder.encode_prompts(
        ["<|image_pad|> Understand the content of the provided document image."] * 5, [colour(i) for i in range(5)]
    )
    places = [(np.argsort(-(pages @ query)) == i).argmax() for i, query in enumerate(asked)]
    assert found == pytest.approx(np.mean([1 / np.log2(place + 2) for place in places]), abs=1e-4)


def task(name="Some", kind="Any2AnyRetrieval", category="t2i", prompt=None):
    return SimpleNamespace(name=name, type=kind, category=category, prompt=prompt)


def prompt_of(recording, batch, about, side, **options):
    MtebModel(recording, **options).encode(
        [batch], task_metadata=about, hf_split="test", hf_subset="default", prompt_type=side
    )
    return recording.asked[-1]


@pytest.mark.parametrize(
    ("about", "side", "batch", "expected"),
    [
        (task(), "query", {"text": ["a dog"]}, "Find me an everyday image that matches the given caption: a dog\n"),
        (task(), "document", {"image": [colour(1)]}, "<|image_pad|>\nRepresent the given image.\n"),
        (
            task(category="it2i"),
            "query",
            {"text": ["in red"], "image": [colour(1)]},
            "<|image_pad|>\nGiven an image, find a similar everyday image with the described changes: in red\n",
        ),
        (task(category="t2t"), "query", {"text": ["a dog"]}, "a dog"),
        (task(category="t2t", prompt={"query": "Answer:"}), "query", {"text": ["a dog"]}, "Answer: a dog"),
        (task(category="t2t"), "document", {"text": ["a dog"]}, "a dog"),
        (
            task("MSVDT2VRetrieval", category="t2v"),
            "query",
            {"text": ["a dog"]},
            "Find the video snippet that corresponds to the given summary: a dog",
        ),
        (
            task("Kinetics700VZeroShot", category="v2t"),
            None,
            {"video": [[colour(i) for i in range(3)]]},
            "<|video_pad|> Recognize the category of the video content.",
        ),
        (task("Kinetics700VZeroShot", category="v2t"), None, {"text": ["abseiling"]}, "abseiling"),
        (
            task(kind="ZeroShotClassification", category="i2t"),
            None,
            {"image": [colour(1)]},
            "<|image_pad|>\nRepresent the given image for classification\n",
        ),
        (task(kind="ZeroShotClassification", category="i2t"), None, {"text": ["a photo of a cat"]}, "a photo of a cat"),
        (
            task(kind="VisualSTS(eng)", category="i2i"),
            None,
            {"image": [colour(1)]},
            "<|image_pad|>\nRepresent the given image.\n",
        ),
        (
            task(category="t2v"),
            "document",
            {"video": [[colour(1)]]},
            "<|video_pad|> Understand the content of the provided video.",
        ),
        (
            task(),
            "query",
            {"text": ["a dog Find cats:"], "query": ["a dog"], "instruction": ["Find cats:"]},
            "Find cats: a dog\n",
        ),
        (task(), "query", {"text": ["look <|image_pad|> here"]}, None),
    ],
)
def test_the_instruction_is_the_one_the_model_was_trained_with(recording, about, side, batch, expected):
    found = prompt_of(recording, batch, about, side)
    if expected is None:
        assert "<|image_pad|>" not in found  # words from a data set never pass for pixels
    else:
        assert found == expected


def test_an_instruction_of_one_s_own_wins(recording):
    own = {"Some": {"query": "Look for:"}}
    assert prompt_of(recording, {"text": ["a dog"]}, task(), "query", instructions=own) == "Look for: a dog\n"


def test_eight_frames_of_a_long_video_are_shown(recording):
    frames = [Image.new("RGB", (56, 56), (i, i, i)) for i in range(200)]
    prompt_of(recording, {"video": [frames]}, task(category="t2v"), "document")
    shown = [image.getpixel((0, 0))[0] for image in recording.visuals[-1]]
    # of the 64 that would be kept, eight from first to last
    assert shown == [int(i) * 200 // 64 for i in np.linspace(0, 63, 8, dtype=int)]


def test_settings_are_part_of_the_revision_that_mteb_keeps_results_under(tiny_encoder, load_tiny):
    other = load_tiny(max_pixels=tiny_encoder.max_pixels // 2)
    mine, theirs = MtebModel(tiny_encoder).mteb_model_meta, MtebModel(other).mteb_model_meta
    assert mine.revision != theirs.revision
    assert mine.name == "local/base+tiny"  # the adapter by its folder's name
    assert MtebModel(tiny_encoder, name="me/mine").mteb_model_meta.name == "me/mine"
    with pytest.raises(InvalidInput, match="owner/name"):
        MtebModel(tiny_encoder, name="mine")


def test_it_is_what_mteb_calls_an_encoder(tiny_encoder):
    from mteb.models import EncoderProtocol

    model = MtebModel(tiny_encoder)
    assert isinstance(model, EncoderProtocol)
    vectors = tiny_encoder.encode_prompts(["a", "b"], [None, None])
    assert model.similarity(vectors, vectors).shape == (2, 2)
    np.testing.assert_allclose(model.similarity_pairwise(vectors, vectors), [1, 1], atol=1e-5)
