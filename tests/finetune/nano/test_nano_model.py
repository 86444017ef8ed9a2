"""The recipe's quick ways through the model give what transformers' own forward gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cache_vision_states import VisionStates
from model import (
    CONSTANT_DIM,
    EMBED,
    HEAD_OFFSETS,
    HEADS,
    MEAN,
    PAGE_CELLS,
    PRESENCE_DIMS,
    SATURATION_ABOVE,
    SATURATION_SHARE,
    STD,
    WIDTH,
    apply_rotary,
    grey_patch_embedding,
    merge_patches,
    new_model,
    patch_positions,
    to_patches,
    vision_forward,
)
from tokenizer import BLANK_TOKEN, IMAGE_TOKEN, VIDEO_TOKEN, VOCABULARY
from torch import nn
from train_retrieval import encode, encode_pooled, pool_states

from vlm2vec_rag.encoder.qwen2vl.patches import SETTINGS, cut, plan

IDF = np.linspace(0.1, 9, VOCABULARY, dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = new_model(IDF).eval().requires_grad_(False)
    for block in model.visual.blocks:  # the late blocks start as no change, which would hide a mistake in them
        nn.init.normal_(block.attn.proj.weight, std=0.05)
        nn.init.normal_(block.mlp.fc2.weight, std=0.05)
    return model


def grey_images():
    return np.random.default_rng(0).integers(0, 256, (2, 112, 224), dtype=np.uint8)


def test_the_batched_tower_sees_what_transformers_tower_sees(model):
    images = grey_images()
    seen = merge_patches(
        model.visual,
        vision_forward(
            model.visual, grey_patch_embedding(model), torch.from_numpy(to_patches(images)), patch_positions(4, 8)[None]
        ),
    )
    colour = np.stack([images] * 3, axis=-1)
    from PIL import Image

    settings = replace(SETTINGS, mean=MEAN, std=STD)
    rows = [cut(Image.fromarray(each), plan(Image.fromarray(each), 10**6, settings), settings) for each in colour]
    expected = model.visual(
        torch.from_numpy(np.concatenate(rows)), grid_thw=torch.tensor([[1, 8, 16]] * 2)
    ).pooler_output
    torch.testing.assert_close(seen.flatten(0, 1), expected, atol=1e-5, rtol=1e-4)


def test_patches_stand_where_their_positions_say():
    images = grey_images()
    patches = to_patches(images)
    for index, (row, column) in enumerate(patch_positions(4, 8).tolist()):
        expected = images[:, row * 14 : row * 14 + 14, column * 14 : column * 14 + 14].reshape(2, -1)
        np.testing.assert_array_equal(patches[:, index], expected)


def test_working_out_the_last_token_alone_changes_nothing(model):
    inputs = [
        ([IMAGE_TOKEN, 20, 30, 40], torch.randn(7, WIDTH)),
        ([30, 40, 50, 60], None),
        ([VIDEO_TOKEN, 99], torch.randn(9, WIDTH)),
    ]
    found = encode(model.language_model, inputs)
    for (ids, seen), vector in zip(inputs, found, strict=True):
        row = model.language_model.embed_tokens(torch.tensor(ids))
        row = torch.cat([seen, row[1:]]) if seen is not None else row
        places = torch.arange(len(row))[None]
        whole = model.language_model(inputs_embeds=row[None], position_ids=places, use_cache=False).last_hidden_state
        torch.testing.assert_close(vector, nn.functional.normalize(whole[0, -1], dim=-1), atol=1e-6, rtol=1e-5)


def test_a_state_with_a_weight_counts_as_so_many(model):
    seen = torch.randn(4, WIDTH)
    weights = torch.tensor([1.0, 3.0, 1.0, 2.0])
    repeated = torch.cat([seen, seen[1:2], seen[1:2], seen[3:]])
    found = encode(model.language_model, [([IMAGE_TOKEN, 20], seen)], [weights])
    # where a state stands in the sequence moves the vector by less than a thousandth
    torch.testing.assert_close(found, encode(model.language_model, [([IMAGE_TOKEN, 20], repeated)]), atol=2e-3, rtol=0)


def test_each_head_of_the_late_blocks_starts_by_looking_at_its_neighbour(model):
    attention = model.visual.blocks[2].attn
    places = patch_positions(8, 8)[None]
    angles = (places[..., None].float() * model.visual.rotary_pos_emb.inv_freq).flatten(-2).repeat(1, 1, 2).unsqueeze(2)
    query, key, _ = attention.qkv(torch.zeros(1, 256, EMBED)).view(1, 256, 3, HEADS, -1).unbind(2)
    query, key = (apply_rotary(each, angles.cos(), angles.sin()).transpose(1, 2)[0] for each in (query, key))
    middle = places[0].tolist().index([7, 8])
    best = (query[:, middle, None] * key).sum(-1).argmax(-1)
    assert (places[0, best] - places[0, middle]).tolist() == [list(each) for each in HEAD_OFFSETS]


def test_a_page_starts_as_the_sum_of_its_pieces_with_repeated_ones_held_back(model):
    table = model.language_model.embed_tokens.weight
    codes = table.clone()
    codes[:, [*PRESENCE_DIMS.tolist(), CONSTANT_DIM]] = 0
    codes = nn.functional.normalize(codes, dim=1)
    pages = [[900, 1200], [900] * 9 + [1200], [700] * 30 + [701, 900]]
    cells = [table[page + [BLANK_TOKEN] * (PAGE_CELLS - len(page))] for page in pages]
    found = encode(model.language_model, [([IMAGE_TOKEN, 0], page) for page in cells])
    sums = torch.stack([codes[page].sum(0) for page in pages])
    over = (sums @ codes.T - SATURATION_ABOVE) / SATURATION_ABOVE  # (pages, pieces), what is said of each, in counts
    held = sums - SATURATION_SHARE * SATURATION_ABOVE * (nn.functional.silu(4 * over) / 4) @ codes
    expected = nn.functional.normalize(held, dim=1)
    # the norms before attention and MLP take words for a few hundredths of a state's length
    assert (found * expected).sum(1).min() > 0.98
    plain = nn.functional.normalize(sums, dim=1)
    assert (found * plain).sum(1)[1:].max() < 0.95


def test_a_page_as_one_row_of_sums_has_the_vector_of_its_cells(model):
    language = model.language_model
    cells = [torch.randn(20, WIDTH), torch.randn(30, WIDTH)]
    weights = torch.full((50,), 10.0)
    seen = VisionStates(
        np.arange(2), np.array([0, 20, 50]), torch.cat(cells).numpy().astype(np.float16), weights.numpy()
    )
    sums, prompt = pool_states(language, seen), [20, 30, 40]
    found = encode_pooled(language, [prompt] * 2, sums)
    expected = encode(language, [([IMAGE_TOKEN, *prompt], each) for each in cells], weights.split([20, 30]))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)  # states are kept in float16
    questions = [[30, 40, 50], [60, 70]]
    expected = encode(language, [(ids, None) for ids in questions])
    torch.testing.assert_close(encode_pooled(language, questions), expected, atol=1e-5, rtol=0)


def test_a_clip_is_read_by_the_first_frame_of_each_pair(model):
    images = torch.rand(2, 128, 3, 2, 196)
    other = images.clone()
    other[:, :, :, 1] = torch.rand(2, 128, 3, 196)  # what comes seconds later
    grid = torch.tensor([[2, 8, 16]])
    seen = [model.visual(each.reshape(256, -1), grid_thw=grid).pooler_output for each in (images, other)]
    torch.testing.assert_close(seen[0], seen[1])
