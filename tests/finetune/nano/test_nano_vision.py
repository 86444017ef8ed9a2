"""What the vision encoder is trained on and by: crops far apart in one sequence, and states that can be added up."""

import numpy as np
import pytest
import torch
from cache_vision_states import VisionStates, sample_pages
from model import CONSTANT_DIM, CONSTANT_SIZE, PRESENCE_DIMS, WIDTH, patch_positions
from resume import HEADS, shipped
from tokenizer import VOCABULARY
from train_vision import CROPS_PER_SEQUENCE, NEIGHBOURS, NO_LETTER, VisionTraining, place_crops

from vlm2vec_rag.encoder.locate import NANO_FOLDER


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    (folder / "tokenizer").mkdir()
    np.save(folder / "tokenizer" / "subword_idf.npy", np.linspace(0.1, 9, VOCABULARY, dtype=np.float32))
    return VisionTraining(folder, compiled=False)


def test_training_goes_on_from_the_package_and_the_heads_beside_the_recipe(reader):
    saved = shipped(NANO_FOLDER, HEADS)
    found = dict(zip(saved["names"], saved["masters"], strict=True))
    wanted = [*reader.parameters(), *reader.model.language_model.named_parameters()]
    assert {name: tuple(found[name].shape) for name, _ in wanted} == {name: tuple(each.shape) for name, each in wanted}


def test_windows_of_a_sequence_keep_their_shape_and_do_not_touch():
    places = place_crops(200, (4, 8), np.random.default_rng(0))
    own = patch_positions(4, 8)
    assert places.shape == (200, CROPS_PER_SEQUENCE * len(own), 2)
    below, beside = [], []
    for sequence in places.view(200, CROPS_PER_SEQUENCE, len(own), 2):
        for window in sequence:
            assert torch.equal(window - window[0], own)
        assert len(torch.unique(sequence.flatten(0, 1), dim=0)) == CROPS_PER_SEQUENCE * len(own)
        apart = (sequence[0, 0] - sequence[1, 0]).abs().tolist()
        below.append(apart[0])
        beside.append(apart[1])
    # in patches: up to a page's height and a wide page's width, and as often side by side as anywhere else
    assert max(below) > 60 and max(beside) > 60
    assert 0.4 < np.mean(np.array(below) == 0) < 0.7


def batch_of(cells, subwords):
    return {"cells": torch.tensor(cells), "subwords": torch.tensor(subwords), "blank": torch.tensor([3])}


def test_states_that_say_it_all_miss_nothing_and_silence_misses_all(reader):
    batch = batch_of([0, 0, 2], [300, 700, 900])
    right = torch.zeros(4, WIDTH)
    for cell, subword in ((0, 300), (0, 700), (2, 900)):
        row = reader.model.language_model.embed_tokens.weight[subword].float().clone()
        row[PRESENCE_DIMS] = 0
        right[cell] += row * reader.weights[subword]
        right[cell, PRESENCE_DIMS] = torch.maximum(right[cell, PRESENCE_DIMS], reader.presence[subword].float())
    right[:, CONSTANT_DIM] = CONSTANT_SIZE  # says nothing, and counts for nothing
    for states, missed in ((right, 0), (torch.zeros(4, WIDTH), 1), (right / 2, 0.25)):
        assert float(reader.regression_loss(states, batch).detach()) == pytest.approx(missed, abs=1e-3)


@pytest.mark.parametrize("is_detached", [True, False])
def test_subwords_move_the_blocks_unless_they_are_detached(reader, is_detached, monkeypatch):
    monkeypatch.setattr(reader, "detach_subwords", is_detached)
    for heads in (
        reader.letter_head,
        reader.neighbour_head,
    ):  # what letters and neighbours ask of the blocks is left out
        torch.nn.init.zeros_(heads.weight)
    torch.nn.init.normal_(reader.subword_head.weight, std=0.02)
    batch = {
        "patches": torch.randint(256, (1, 16, 196), dtype=torch.uint8),
        "places": patch_positions(2, 2)[None],
        "letters": torch.full((64, 2 * NEIGHBOURS + 1), NO_LETTER),
        **batch_of([0, 1, 2], [300, 700, 900]),
    }
    batch["letters"][0, NEIGHBOURS] = 3
    loss, *_ = reader.losses(batch)
    torch.autograd.backward(loss)
    assert reader.subword_head.weight.grad is not None and reader.subword_head.weight.grad.abs().max() > 0
    moved = reader.grey.grad is not None and bool(reader.grey.grad.abs().max() > 0)
    reader.model.zero_grad(set_to_none=True)
    for each in (
        reader.grey,
        reader.subword_head.weight,
        reader.subword_head.bias,
        reader.letter_head.weight,
        reader.neighbour_head.weight,
    ):
        each.grad = None
    assert moved is not is_detached


def test_fresh_heads_ask_nothing_of_the_blocks(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    np.save(tmp_path / "tokenizer" / "subword_idf.npy", np.ones(VOCABULARY, np.float32))
    fresh = VisionTraining(tmp_path, compiled=False)
    for weight in (fresh.neighbour_head.weight, fresh.subword_head.weight, fresh.model.visual.merger.mlp[2].weight):
        assert not weight.any()


def test_the_letter_beside_counts_as_read_where_it_is_named(reader):
    letters = torch.full((16, 2 * NEIGHBOURS + 1), NO_LETTER)
    letters[5] = torch.tensor([NO_LETTER, NO_LETTER, 0, 1, 2, NO_LETTER, NO_LETTER])
    seen = torch.zeros(1, 4, 256, dtype=torch.bfloat16)
    seen[0, 1, 0] = 1  # slot 5 is the second of patch 1
    with torch.no_grad():
        reader.neighbour_head.weight.zero_()
        heads = reader.neighbour_head.weight.view(4, 2 * NEIGHBOURS, NO_LETTER + 1, 256)
        for side, letter in enumerate([NO_LETTER, NO_LETTER, 0, 2, NO_LETTER, NO_LETTER]):
            heads[1, side, letter, 0] = 20
        loss, hit = reader.neighbour_loss(seen, letters)
    assert hit.all() and len(hit) == 2 * NEIGHBOURS
    assert float(loss) < 0.01


def test_pages_to_look_at_come_with_their_neighbours():
    class Few:
        paths = ["a"] * 30 + ["b"] * 3 + ["c"] * 30

        def __len__(self):
            return len(self.paths)

    chosen = sample_pages(Few(), 20, 10, 0)
    counts = {path: sum(Few.paths[page] == path for page in chosen) for path in "abc"}
    assert len(set(chosen)) == 20 and max(counts.values()) <= 10


def test_what_was_seen_is_given_page_by_page():
    states = np.arange(12, dtype=np.float16).reshape(6, 2)
    seen = VisionStates(np.array([7, 3]), np.array([0, 2, 6]), states, np.array([1, 10, 1, 1, 1, 10], np.float32))
    found, weights = seen.page(1)
    assert found.tolist() == states[2:].tolist() and weights.tolist() == [1, 1, 1, 10]
