"""Patches are what the definition says, one patch at a time."""

import numpy as np
import pytest
from PIL import Image

from vlm2vec_rag.encoder.qwen2vl.patches import SETTINGS, cut, plan
from vlm2vec_rag.errors import EmptyInput

BUDGET = 28 * 28 * 64


def an_image(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def cut_slowly(frames):
    """The definition: block by block, patch by patch, channel by channel, frame by frame."""
    mean, std = np.float32(SETTINGS.mean), np.float32(SETTINGS.std)
    pixels = [(np.asarray(frame, dtype=np.float32) / 255 - mean) / std for frame in frames]
    height, width, _ = pixels[0].shape
    rows = []
    for step in range(0, len(frames), 2):
        for top in range(0, height, 28):
            for left in range(0, width, 28):
                for y in (top, top + 14):
                    for x in (left, left + 14):
                        patch = [
                            pixels[step + slot][y : y + 14, x : x + 14, channel]
                            for channel in range(3)
                            for slot in (0, 1)
                        ]
                        rows.append(np.concatenate([each.ravel() for each in patch]))
    return np.stack(rows)


def test_an_image_fills_both_slots_of_time():
    image = an_image(84, 56)
    np.testing.assert_allclose(
        cut(image, plan(image, BUDGET, SETTINGS), SETTINGS), cut_slowly([image, image]), atol=1e-6
    )


def test_an_odd_last_frame_is_shown_twice():
    frames = [an_image(56, 84, seed) for seed in range(3)]
    expected = cut_slowly([*frames, frames[-1]])
    np.testing.assert_allclose(cut(frames, plan(frames, BUDGET, SETTINGS), SETTINGS), expected, atol=1e-6)


def test_all_frames_take_the_size_of_the_first():
    frames = [an_image(112, 56), an_image(300, 200), an_image(30, 400)]
    cut_plan = plan(frames, BUDGET, SETTINGS)
    assert (cut_plan.width, cut_plan.height) == (112, 56)
    assert cut(frames, cut_plan, SETTINGS).shape == (cut_plan.tokens * 4, 1176)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1", "CMYK"])
def test_every_mode_is_read_as_rgb(mode):
    image = an_image(56, 56).convert(mode)
    cut_plan = plan(image, BUDGET, SETTINGS)
    np.testing.assert_array_equal(cut(image, cut_plan, SETTINGS), cut(image.convert("RGB"), cut_plan, SETTINGS))


@pytest.mark.parametrize("size", [(4000, 3000), (28, 5000), (3000, 40), (10, 9000)])
def test_tokens_stay_within_the_budget(size):
    assert plan(an_image(*size), 28 * 28 * 1280, SETTINGS).tokens <= 1280


def test_a_clip_without_frames_is_refused():
    with pytest.raises(EmptyInput, match="without frames"):
        plan([], BUDGET, SETTINGS)
