"""The size rule, against the public code's arithmetic and against Pillow's own resize."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from vlm2vec_rag.pixels import MAX_PIXELS, MIN_PIXELS, page_size, reduced_size, resize, target_size

sides = st.integers(1, 9000)
budgets = st.sampled_from([MIN_PIXELS, 64 * 28 * 28, 360 * 420, 640 * 28 * 28, MAX_PIXELS])


def public_rule(height, width, max_pixels, min_pixels=3136, factor=28):
    """The public code, statement by statement; it may give a side of 0."""
    if height < factor or width < factor or max(height, width) / min(height, width) > 200:
        height = width = max(factor, height, width)
    h_bar = round(height / factor) * factor
    w_bar = round(width / factor) * factor
    if h_bar * w_bar > max_pixels:
        beta = math.sqrt((height * width) / max_pixels)
        h_bar = math.floor(height / beta / factor) * factor
        w_bar = math.floor(width / beta / factor) * factor
    elif h_bar * w_bar < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        h_bar = math.ceil(height * beta / factor) * factor
        w_bar = math.ceil(width * beta / factor) * factor
    return h_bar, w_bar


@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((720, 1280), (728, 1288)),  # a video frame: 1196 tokens
        ((3508, 2480), (1176, 840)),  # A4 at 300 dpi
        ((42, 70), (56, 56)),  # 1.5 and 2.5 patches: half to even
        ((1, 1), (56, 56)),  # lifted to the least area
        ((20, 5000), (980, 980)),  # a side under 28 px: a square of the longer side
        ((28, 6000), (980, 980)),  # an aspect over 200: the same
    ],
)
def test_known_sizes(size, target):
    assert target_size(*size, MAX_PIXELS) == target


@given(sides, sides, budgets)
@settings(max_examples=500, deadline=None)
def test_agrees_with_the_public_code_wherever_that_gives_an_image(height, width, max_pixels):
    expected = public_rule(height, width, max_pixels)
    assume(min(expected) > 0)
    assert target_size(height, width, max_pixels) == expected


@given(sides, sides, budgets)
@example(40, 8000, MAX_PIXELS)  # the target is 28 x 8008, an aspect that the encoder would make a square
@example(28, 5600, 360 * 420)  # one side is at its least, so the target stays over the budget
@settings(max_examples=500, deadline=None)
def test_a_reduced_image_is_not_resized_again(height, width, max_pixels):
    size = reduced_size(height, width, max_pixels)
    if size is not None:
        assert size == target_size(height, width, max_pixels) == target_size(*size, max_pixels)
        assert size[0] * size[1] <= max_pixels < height * width


@pytest.mark.parametrize("size", [(40, 8000), (8000, 40)])
def test_a_sliver_is_left_to_the_encoder(size):
    assert reduced_size(*size, 360 * 420) is None


@given(st.integers(30, 400), st.integers(30, 400))
@settings(max_examples=30, deadline=None)
def test_reducing_first_gives_the_encoder_the_same_pixels(height, width):
    budget = 16 * 28 * 28
    size = reduced_size(height, width, budget)
    assume(size is not None)
    noise = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(noise)

    def as_the_encoder_resizes(image):
        target_height, target_width = target_size(image.height, image.width, budget)
        return resize(image, target_height, target_width)

    reduced = resize(image, *size)
    assert as_the_encoder_resizes(reduced).tobytes() == as_the_encoder_resizes(image).tobytes()


@pytest.mark.parametrize(
    ("height_pt", "width_pt", "size"),
    [
        (842, 595, (1176, 840)),  # A4
        (540, 960, (728, 1316)),  # a slide
        (1, 1, (980, 980)),
        (1e7, 1e7, (980, 980)),  # a giant costs no more
        (14400, 10, (980, 980)),  # a sliver is stretched
        (1, 1e9, (980, 980)),
    ],
)
def test_a_page_fills_the_budget(height_pt, width_pt, size):
    assert page_size(height_pt, width_pt, MAX_PIXELS) == size


@given(st.floats(0.001, 1e7), st.floats(0.001, 1e7), budgets.filter(lambda budget: budget > 8 * 28 * 28))
@settings(max_examples=500, deadline=None)
def test_a_page_is_rendered_at_the_very_size_the_model_sees(height_pt, width_pt, max_pixels):
    size = page_size(height_pt, width_pt, max_pixels)
    assert size == target_size(*size, max_pixels)
    assert size[0] * size[1] <= max_pixels


@given(st.floats(0.001, 1e7), st.floats(0.001, 1e7))
@settings(max_examples=200, deadline=None)
def test_a_page_has_a_size_even_at_the_least_budget(height_pt, width_pt):
    assert min(page_size(height_pt, width_pt, MIN_PIXELS)) >= 28
