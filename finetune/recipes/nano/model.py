"""The model nano is, and its vision tower as one batched call over visuals of one size.

The weights are transformers' own Qwen2-VL modules; only the order of work differs. Equal sizes make attention one call,
grey input makes the patch embedding six times smaller: a tenth of the time of the general path.
Shape letters: B visuals, P patches of each, N = P / 4 merged tokens (cells), D width.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizer import BLANK_TOKEN, IMAGE_TOKEN, PAD_TOKEN, SPECIAL, VIDEO_TOKEN, VOCABULARY
from torch import nn
from transformers import Qwen2VLConfig, Qwen2VLModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2MLP

PATCH, CELL = 14, 28
SHORT_SEQUENCE = 1024  # patches
PAGE_CELLS = 1280  # of a page at full size
EMBED, DEPTH, HEADS = 256, 5, 8  # of the tower
WIDTH, BLOCK = 640, 16  # of the vectors, and of the parts of them that one subword's code fills
LANGUAGE_HEADS = 5
CONSTANT_DIM, CONSTANT_SIZE = WIDTH - 1, 8.0  # a dimension that is the same in all states, and what it is
PRESENCE_DIMS = torch.arange(BLOCK - 1, CONSTANT_DIM, BLOCK)  # the dimension of each block that says there is a subword
MEAN_GAIN = 24.0  # the mean of all tokens beside the last token's own state, which the residual adds to it
TINY = 1e-6
# of what a page says of a subword beyond so many counts, this share is held back
SATURATION_SHARE, SATURATION_ABOVE = 0.8, 1.0
HEAD_OFFSETS = ((-1, 0), (0, -3), (0, -2), (0, -1), (0, 1), (0, 2), (0, 3), (1, 0))  # rows and columns of patches
HEAD_SHARPNESS = 6.0  # a neighbour's score is 4 above that of the next
LETTER_BLOCKS = 2  # of the tower, that learn the letters before the others join
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
GREY_MEAN, GREY_STD = float(np.mean(MEAN)), float(np.mean(STD))


def config() -> Qwen2VLConfig:
    """11.5 M parameters: vision 5 x 256, language 1 x 640.

    One layer of language is enough to weigh and add up words, and its last token needs no other token's update: in
    training a page costs its keys and values only.
    """
    text = {
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": VOCABULARY, "num_hidden_layers": 1,
        "num_attention_heads": LANGUAGE_HEADS, "num_key_value_heads": LANGUAGE_HEADS, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True, "bos_token_id": PAD_TOKEN, "eos_token_id": SPECIAL.index("<|im_end|>"),
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "rope_theta": 1e6,
    }  # fmt: skip
    vision = {
        "depth": DEPTH, "embed_dim": EMBED, "hidden_size": WIDTH, "num_heads": HEADS, "mlp_ratio": 4,
        "patch_size": PATCH, "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3,
    }  # fmt: skip
    return Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE_TOKEN, video_token_id=VIDEO_TOKEN,
        tie_word_embeddings=True,
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )  # fmt: skip


def new_model(idf: npt.NDArray[np.float32], seed: int = 0) -> Qwen2VLModel:
    """Random weights that already know what is the same everywhere.

    The three channels of a patch start equal, so colour reads as its grey. The embeddings and the language model start
    as `init_token_embeddings` and `init_mean_pooling` say.

    Args:
        rarity: (VOCABULARY,) from `tokenizer.inverse_document_frequency`.
        seed: Of all random numbers.
    """
    torch.manual_seed(seed)
    shape = config()
    shape.text_config.intermediate_size = 1024  # when the codes that the shipped tower knows were drawn, further down
    model = Qwen2VLModel(shape)
    model.config = config()
    model.language_model.config = model.config.text_config
    with torch.random.fork_rng(devices=[]):
        model.language_model.layers[0].mlp = Qwen2MLP(model.config.text_config)
    filters = torch.randn(EMBED, PATCH * PATCH) / PATCH
    unfold_from_grey(model, filters - filters.mean(1, keepdim=True))  # white paper, most of a page, is then 0
    for place, block in enumerate(model.visual.blocks):
        for name, weight in block.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if place >= LETTER_BLOCKS and name in ("attn.proj.weight", "mlp.fc2.weight"):
                nn.init.zeros_(weight)  # changes nothing until it is trained: the tower grows
        if place >= LETTER_BLOCKS:
            init_heads_at_neighbours(block.attn)
    with torch.no_grad():
        model.language_model.embed_tokens.weight.copy_(init_token_embeddings(idf))
        merged = model.visual.merger.mlp[2]
        merged.weight[CONSTANT_DIM] = 0
        merged.bias.zero_()
        merged.bias[CONSTANT_DIM] = CONSTANT_SIZE
        init_mean_pooling(model.language_model)
    return model


def init_heads_at_neighbours(attention: Any) -> None:
    """Point each head at one neighbour, as a convolution would; from random weights that alone takes long to learn.

    With the same key everywhere, and the same query turned by an offset, the rotary positions make a score that is
    highest just there.

    Args:
        attention: Of a block of the tower.
    """
    width = EMBED // HEADS
    pairs = width // 2  # half of them for rows, half for columns
    rates = 1.0 / 10000 ** (torch.arange(0, pairs, 2) / pairs)
    sharp = torch.where(torch.arange(len(rates)) < 4, HEAD_SHARPNESS, 0.0)
    query, key = torch.zeros(HEADS, width), torch.zeros(HEADS, width)
    for head, (down, right) in enumerate(HEAD_OFFSETS):
        angles = torch.cat([down * rates, right * rates])
        query[head] = torch.cat([angles.cos(), angles.sin()]) * sharp.repeat(4)
        key[head, :pairs] = sharp.repeat(2)
    with torch.no_grad():
        attention.qkv.bias.zero_()
        attention.qkv.bias[: 2 * EMBED] = torch.cat([query.flatten(), key.flatten()])
        attention.qkv.weight[: 2 * EMBED] *= 0.1


def init_token_embeddings(idf: npt.NDArray[np.float32]) -> torch.Tensor:
    """(VOCABULARY, WIDTH) what stands for each subword: a code in one of 39 blocks of 16 dimensions, 0 in the others.

    In a block, 15 dimensions tell its subwords apart and one says that there is a subword, more loudly for a rare one:
    the vision tower learns it, the language model has no use for it. The last block is for cells without words, and for
    a constant that makes all states about equally long: their norm is divided out.
    """
    blocks = WIDTH // BLOCK - 1
    order = torch.from_numpy(idf).argsort()
    # each block gets its share of frequent subwords
    rounds = [torch.randperm(blocks) for _ in range(-(-VOCABULARY // blocks))]
    block = torch.empty(VOCABULARY, dtype=torch.int64)
    block[order] = torch.cat(rounds)[:VOCABULARY]
    table = torch.zeros(VOCABULARY, WIDTH)
    loud = ((100 * torch.from_numpy(idf)).log() / math.log(100 * float(idf.max()))).clamp(0.3, 1)
    for number in range(blocks):
        members = (block == number).nonzero().squeeze(1)
        members = members[members >= len(SPECIAL)]
        first = number * BLOCK
        table[members, first : first + BLOCK - 1] = apart(len(members), BLOCK - 1)
        table[members, first + BLOCK - 1] = loud[members]
    table[BLANK_TOKEN, CONSTANT_DIM - 1] = 1
    table[:, CONSTANT_DIM] = CONSTANT_SIZE
    return table


def apart(count: int, width: int) -> torch.Tensor:
    """(count, width) unit vectors that push each other away: the largest cosine falls from 0.8 to 0.5 or so."""
    rows = nn.functional.normalize(torch.randn(count, width), dim=1)
    for _ in range(60):
        near = (8 * (rows @ rows.T - 1)).exp()
        near.fill_diagonal_(0)
        rows = nn.functional.normalize(rows - 0.5 * (near @ rows) / (near.sum(1, keepdim=True) + 0.02), dim=1)
    return rows


def init_mean_pooling(language: Any) -> None:
    """Set the language model to what it would have to learn first: the mean of all tokens, repeated words held back.

    From random weights InfoNCE stays at chance for thousands of steps; from here it starts with a bag of words.

    Args:
        language: `Qwen2VLModel.language_model`, of one layer.
    """
    (layer,) = language.layers
    attention = layer.self_attn
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
        linear.bias.zero_()
    # all tokens count the same; keys stay random, for an adapter of q_proj alone can then change that
    attention.q_proj.weight.zero_()
    values = torch.eye(WIDTH) * MEAN_GAIN
    values[WIDTH - BLOCK :] = 0
    values[PRESENCE_DIMS] = 0
    attention.v_proj.weight.copy_(values)
    # no adapter of v_proj is to add the same to all vectors: the constant is far louder than words
    layer.input_layernorm.weight[CONSTANT_DIM] = 0
    attention.o_proj.weight.copy_(torch.eye(WIDTH))
    init_saturation(layer.mlp, language.embed_tokens.weight)
    for linear in (attention.q_proj, attention.v_proj, layer.mlp.down_proj):
        # DoRA adapters divide by the length of a row
        empty = linear.weight.norm(dim=1) == 0
        linear.weight[empty] = torch.randn(int(empty.sum()), linear.in_features) * TINY
    # the same in every vector, so of no use in comparing them
    language.norm.weight[PRESENCE_DIMS] = 0
    language.norm.weight[CONSTANT_DIM] = 0


def init_saturation(mlp: Any, table: torch.Tensor) -> None:
    """Set the layer's MLP to saturate term frequency: hold back SATURATION_SHARE of a subword above SATURATION_ABOVE.

    A unit for each subword is open as far as the sum of a page has more of the subword's code than that, and takes its
    share of it away. The constant of all states is the units' bias, and nearly all of their length, so that the norm
    before them leaves counts as they are. On read validation pages that is worth 0.11 of NDCG@5 (LOG.md).

    Args:
        mlp: Of the language model's layer, with a unit for each subword.
        table: From `init_token_embeddings`.
    """
    codes = table.clone()
    codes[:, [*PRESENCE_DIMS.tolist(), *range(WIDTH - BLOCK, WIDTH)]] = 0
    codes = nn.functional.normalize(codes, dim=1)
    whole = WIDTH**0.5  # the constant after a norm
    said = MEAN_GAIN * whole / CONSTANT_SIZE / PAGE_CELLS  # in the mean of a page, for one subword read for certain
    sharp = 4 / SATURATION_ABOVE  # of a unit's opening, for each count
    mlp.gate_proj.weight.copy_(codes * sharp / (said * whole / CONSTANT_SIZE))
    mlp.gate_proj.weight[:, CONSTANT_DIM] = -sharp * SATURATION_ABOVE / whole
    mlp.up_proj.weight.zero_()
    mlp.up_proj.weight[:, CONSTANT_DIM] = 1 / whole
    mlp.down_proj.weight.copy_(-SATURATION_SHARE / sharp * said * codes.T)


def grey_patch_embedding(model: Qwen2VLModel) -> torch.Tensor:
    """(E, 196): what the patch embedding does to a grey image."""
    return fold_to_grey(model.visual.patch_embed.proj.weight)


def fold_to_grey(weight: torch.Tensor) -> torch.Tensor:
    """(E, 3, 2, 14, 14), a patch embedding, to (E, 196): folded over channels and frames."""
    scale = torch.tensor(STD).view(1, 3, 1, 1, 1)
    folded: torch.Tensor = (weight.float() / scale).sum((1, 2)).flatten(1) * GREY_STD
    return folded


def unfold_from_grey(model: Qwen2VLModel, weight: torch.Tensor) -> None:
    """Write a folded weight back so that grey images give exactly the same states, colour those of its mean.

    All of it goes to the first of a patch's two frames, which are the same in an image. In a clip they are seconds
    apart: summed, two screens of text would lie on top of each other and neither could be read.
    """
    scale = torch.tensor(STD).view(1, 3, 1, 1) / (3 * GREY_STD)
    with torch.no_grad():
        full = model.visual.patch_embed.proj.weight  # (E, 3, 2, 14, 14)
        full.zero_()
        full[:, :, 0] = weight.to(full.dtype).view(-1, 1, PATCH, PATCH) * scale.to(full.dtype)


def to_patches(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(B, H, W) grey to (B, P, 196) patches, the four of a cell together as the merger wants them."""
    count, height, width = pixels.shape
    rows, columns = height // CELL, width // CELL
    blocks = pixels.reshape(count, rows, 2, PATCH, columns, 2, PATCH).transpose(0, 1, 4, 2, 5, 3, 6)
    return np.ascontiguousarray(blocks.reshape(count, rows * columns * 4, PATCH * PATCH))


def patch_positions(rows: int, columns: int) -> torch.Tensor:
    """(P, 2) row and column of each patch, in `to_patches`'s order."""
    grid = torch.stack(torch.meshgrid(torch.arange(2 * rows), torch.arange(2 * columns), indexing="ij"), -1)
    return grid.view(rows, 2, columns, 2, 2).permute(0, 2, 1, 3, 4).reshape(-1, 2)


def apply_rotary(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions: (B, P, heads, width) by (B or 1, P, 1, width)."""
    half = states.shape[-1] // 2
    return states * cos + torch.cat([-states[..., half:], states[..., :half]], -1) * sin


def block_forward(block: Any, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """One block over (B, P, E)."""
    count, length, width = states.shape
    heads = block.attn.num_heads
    query, key, value = block.attn.qkv(block.norm1(states)).view(count, length, 3, heads, -1).unbind(2)
    query, key, value = (
        each.transpose(1, 2) for each in (apply_rotary(query, cos, sin), apply_rotary(key, cos, sin), value)
    )  # (B, heads, P, width)
    if length > SHORT_SEQUENCE:
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
    else:  # quicker for few patches, and compiles into fewer passes
        mixed = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1) @ value
    states = states + block.attn.proj(mixed.transpose(1, 2).reshape(count, length, width))
    hidden = block.mlp.fc1(block.norm2(states))
    moved: torch.Tensor = states + block.mlp.fc2(hidden * torch.sigmoid(1.702 * hidden))
    return moved


def vision_forward(
    visual: Any,
    grey: torch.Tensor,
    patches: torch.Tensor,
    places: torch.Tensor,
    blocks: int | None = None,
) -> torch.Tensor:
    """Run the vision tower over grey visuals of one size.

    Args:
        visual: `Qwen2VLModel.visual`.
        grey: (E, 196) folded patch embedding.
        patches: (B, P, 196) uint8.
        places: (B, P, 2) or (1, P, 2) rows and columns.
        blocks: How many of the blocks to run; all by default.

    Returns:
        (B, P, E), each patch's state after the last norm; the merger makes cells of them.
    """
    dtype = visual.blocks[0].attn.qkv.weight.dtype
    pixels = ((patches.float() / 255 - GREY_MEAN) / GREY_STD).to(dtype)
    states = nn.functional.linear(pixels, grey.to(dtype))  # (B, P, E)
    angles = places[..., None].float() * visual.rotary_pos_emb.inv_freq  # (., P, 2, F)
    angles = angles.flatten(-2).repeat(1, 1, 2).unsqueeze(2)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    for block in visual.blocks[:blocks]:
        states = block_forward(block, states, cos, sin)
    normed: torch.Tensor = visual.merger.ln_q(states)
    return normed


def merge_patches(visual: Any, states: torch.Tensor) -> torch.Tensor:
    """(B, P, E) from `vision_forward` to (B, N, D), what the language model reads."""
    merged: torch.Tensor = visual.merger.mlp(states.view(len(states), states.shape[1] // 4, -1))
    return merged
