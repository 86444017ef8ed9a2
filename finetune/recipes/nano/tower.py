"""The model nano is, and its vision tower as one batched call over visuals of one size.

The weights are transformers' own Qwen2-VL modules; only the order of work differs. Equal sizes make attention one call,
grey input makes the patch embedding six times smaller: a tenth of the time of the general path.
Shape letters: B visuals, P patches of each, N = P / 4 merged tokens (cells), D width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import Qwen2VLConfig, Qwen2VLModel
from words import IMAGE, PAD, SPECIAL, VIDEO, VOCABULARY

PATCH, CELL = 14, 28
EMBED = 192  # of a patch's state
SPELLING = 160  # dimensions of an embedding that say how a piece is spelt; the others are its own
WIDTH = 640  # of the vectors; the noise of a sum of random rows falls with its root
FIRST_BLOCKS = 2  # of the tower, that learn the letters before the others join
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
GREY_MEAN, GREY_STD = float(np.mean(MEAN)), float(np.mean(STD))


def config() -> Qwen2VLConfig:
    """10.5 M parameters: vision 4 x 192, language 1 x 640.

    One layer of language is enough to weigh and add up words, and its last token needs no other token's update: in
    training a page costs its keys and values only.
    """
    text = {
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": 1024, "num_hidden_layers": 1,
        "num_attention_heads": 10, "num_key_value_heads": 10, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True, "bos_token_id": PAD, "eos_token_id": SPECIAL.index("<|im_end|>"),
        "rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]}, "rope_theta": 1e6,
    }  # fmt: skip
    vision = {
        "depth": 4, "embed_dim": EMBED, "hidden_size": WIDTH, "num_heads": 3, "mlp_ratio": 4, "patch_size": PATCH,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3,
    }  # fmt: skip
    return Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE, video_token_id=VIDEO, tie_word_embeddings=True,
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )  # fmt: skip


def new_model(rarity: npt.NDArray[np.float32], spellings: list[str], seed: int = 0) -> Qwen2VLModel:
    """Random weights that already know what is the same everywhere.

    The three channels of a patch start equal, so colour reads as its grey. A token's embedding has a
    part of its own, random, and a part for its spelling; both are longer for rare pieces, and a step along one common
    direction says how rare it is: a cell's state will be a sum of rows, rare pieces outweigh frequent ones in it, and
    one attention score can tell them apart. The spelling is there for the tower: half-read letters already point to the
    right group of pieces, where purely random rows gave it nothing until a piece was read whole.

    Args:
        rarity: (VOCABULARY,) from `words.piece_weights`.
        spellings: VOCABULARY strings, a `▁` where a word begins.
        seed: Of all random numbers.
    """
    torch.manual_seed(seed)
    model = Qwen2VLModel(config())
    filters = torch.randn(EMBED, PATCH * PATCH) / PATCH
    spread_grey(model, filters - filters.mean(1, keepdim=True))  # white paper, most of a page, is then 0
    for place, block in enumerate(model.visual.blocks):
        for name, weight in block.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if place >= FIRST_BLOCKS and name in ("attn.proj.weight", "mlp.fc2.weight"):
                nn.init.zeros_(weight)  # changes nothing until it is trained: the tower grows
    usual = torch.from_numpy(rarity)
    usual = ((usual - usual.mean()) / usual.std()).clamp(-2.5, 2)
    usual[: len(SPECIAL)] = -2.5
    rows = torch.randn(VOCABULARY + 1, WIDTH) * WIDTH**-0.5
    rows[:, :SPELLING] = 0
    rows[:-1, :SPELLING] = spelt(spellings)
    with torch.no_grad():
        table = rows[:-1] * (1 + 0.2 * usual[:, None]) + 0.3 * usual[:, None] * rows[-1]
        model.language_model.embed_tokens.weight.copy_(table)
        add_up_rare_words(model.language_model, nn.functional.normalize(rows[-1], dim=0))
    return model


def spelt(spellings: list[str]) -> torch.Tensor:
    """(VOCABULARY, SPELLING) rows that are near where letters and pairs of neighbouring letters are shared."""
    codes: dict[str, torch.Tensor] = {}
    rows = torch.zeros(len(spellings), SPELLING)
    for row, spelling in enumerate(spellings):
        for part in [*spelling, *(spelling[at : at + 2] for at in range(len(spelling) - 1))]:
            if part not in codes:
                codes[part] = torch.randn(SPELLING)
            rows[row] += codes[part]
    return 0.8 * nn.functional.normalize(rows - rows.mean(0), dim=-1)


def add_up_rare_words(language: Any, rare: torch.Tensor) -> None:
    """Set the language model to what it would have to learn first: attend to rare pieces and add them up.

    From random weights InfoNCE stays at chance for thousands of steps; from here it starts with a bag of words.

    Args:
        language: `Qwen2VLModel.language_model`, of one layer.
        rare: (D,) the direction along which embeddings say how rare they are.
    """
    (layer,) = language.layers
    attention, width = layer.self_attn, int(layer.self_attn.head_dim)
    # the slowest rotary pair does not turn within 32,768 positions: a score on it does not depend on where a word is
    still = torch.arange(width // 2 - 1, WIDTH, width)
    attention.q_proj.weight.mul_(0.1)
    attention.k_proj.weight.mul_(0.1)
    attention.q_proj.bias.zero_()
    attention.k_proj.bias.zero_()
    attention.v_proj.bias.zero_()
    attention.q_proj.bias[still] = 1.0
    attention.k_proj.weight[still] = 0.5 * rare
    kept = torch.ones(WIDTH)
    kept[:SPELLING] = 0.3  # for the tower's sake; pieces that look alike mean different things
    attention.v_proj.weight.copy_(torch.diag(kept) - torch.outer(rare, rare))
    attention.o_proj.weight.copy_(4 * torch.eye(WIDTH))
    layer.mlp.down_proj.weight.zero_()


def grey_weight(model: Qwen2VLModel) -> torch.Tensor:
    """(E, 196): what the patch embedding does to a grey picture, folded over channels and frames."""
    weight = model.visual.patch_embed.proj.weight.float()  # (E, 3, 2, 14, 14)
    scale = torch.tensor(STD).view(1, 3, 1, 1, 1)
    folded: torch.Tensor = (weight / scale).sum((1, 2)).flatten(1) * GREY_STD
    return folded


def spread_grey(model: Qwen2VLModel, weight: torch.Tensor) -> None:
    """Write a folded weight back so that grey pictures give exactly the same states, colour those of its mean.

    All of it goes to the first of a patch's two frames, which are the same in a picture. In a clip they are seconds
    apart: summed, two screens of text would lie on top of each other and neither could be read.
    """
    scale = torch.tensor(STD).view(1, 3, 1, 1) / (3 * GREY_STD)
    with torch.no_grad():
        full = model.visual.patch_embed.proj.weight  # (E, 3, 2, 14, 14)
        full.zero_()
        full[:, :, 0] = weight.to(full.dtype).view(-1, 1, PATCH, PATCH) * scale.to(full.dtype)


def cut_grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(B, H, W) grey to (B, P, 196) patches, the four of a cell together as the merger wants them."""
    count, height, width = pixels.shape
    rows, columns = height // CELL, width // CELL
    blocks = pixels.reshape(count, rows, 2, PATCH, columns, 2, PATCH).transpose(0, 1, 4, 2, 5, 3, 6)
    return np.ascontiguousarray(blocks.reshape(count, rows * columns * 4, PATCH * PATCH))


def positions(rows: int, columns: int) -> torch.Tensor:
    """(P, 2) row and column of each patch, in `cut_grey`'s order."""
    grid = torch.stack(torch.meshgrid(torch.arange(2 * rows), torch.arange(2 * columns), indexing="ij"), -1)
    return grid.view(rows, 2, columns, 2, 2).permute(0, 2, 1, 3, 4).reshape(-1, 2)


def turn(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions: (B, P, heads, width) by (B or 1, P, 1, width)."""
    half = states.shape[-1] // 2
    return states * cos + torch.cat([-states[..., half:], states[..., :half]], -1) * sin


def see(
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
    count, length, width = states.shape
    heads = visual.blocks[0].attn.num_heads
    angles = places[..., None].float() * visual.rotary_pos_emb.inv_freq  # (., P, 2, F)
    angles = angles.flatten(-2).repeat(1, 1, 2).unsqueeze(2)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    for block in visual.blocks[:blocks]:
        query, key, value = block.attn.qkv(block.norm1(states)).view(count, length, 3, heads, -1).unbind(2)
        query, key = turn(query, cos, sin), turn(key, cos, sin)
        mixed = nn.functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        states = states + block.attn.proj(mixed.transpose(1, 2).reshape(count, length, width))
        states = states + block.mlp(block.norm2(states))
    normed: torch.Tensor = visual.merger.ln_q(states)
    return normed


def merge(visual: Any, states: torch.Tensor) -> torch.Tensor:
    """(B, P, E) from `see` to (B, N, D), what the language model reads."""
    merged: torch.Tensor = visual.merger.mlp(states.view(len(states), states.shape[1] // 4, -1))
    return merged
