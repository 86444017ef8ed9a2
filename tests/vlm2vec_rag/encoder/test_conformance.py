"""The vectors are the public code's: VLM2Vec at 6e1e1d4, transformers 4.52.3, float32, CPU.

`tests/data/conformance/README.md` says how the golden data was made. Tolerance 1e-5 on unit vectors, max abs.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from vlm2vec_rag import load_encoder
from vlm2vec_rag.encoder.qwen2vl.patches import plan
from vlm2vec_rag.encoder.runner import Prepared

TOLERANCE = 1e-5


@pytest.mark.parametrize("at_a_time", [1, 7, 20])
def test_adapted_vectors_equal_the_public_codes(encoder, golden, at_a_time):
    prompts, visuals = golden["prompts"], golden["visuals"]
    vectors = np.concatenate(
        [
            encoder.encode_prompts(prompts[start : start + at_a_time], visuals[start : start + at_a_time])
            for start in range(0, len(prompts), at_a_time)
        ]
    )
    np.testing.assert_allclose(vectors, golden["adapted"], atol=TOLERANCE, rtol=0)


def test_base_vectors_equal_the_public_codes(tiny_base, golden):
    base = load_encoder(tiny_base, device="cpu", dtype="float32")
    vectors = base.encode_prompts(golden["prompts"], golden["visuals"])
    np.testing.assert_allclose(vectors, golden["base"], atol=TOLERANCE, rtol=0)


def test_an_adapter_folder_brings_its_base_along(tiny_adapter, golden):
    published = load_encoder(tiny_adapter, device="cpu", dtype="float32")
    vectors = published.encode_prompts(golden["prompts"][:9], golden["visuals"][:9])
    np.testing.assert_allclose(vectors, golden["adapted"][:9], atol=TOLERANCE, rtol=0)


def test_token_ids_and_patch_grids_equal_the_public_codes(encoder, golden):
    for prompt, visual, ids, grid in zip(
        golden["prompts"], golden["visuals"], golden["ids"], golden["grids"], strict=True
    ):
        cut_plan = None if visual is None else plan(visual, encoder.max_pixels, encoder.runner.settings)
        ours = encoder.runner.tokens.ids(
            prompt, is_video=isinstance(visual, list), visual_tokens=cut_plan.tokens if cut_plan else 0
        )
        assert ours == ids
        assert (list(cut_plan.grid) if cut_plan else None) == grid


def test_vectors_do_not_depend_on_the_version_of_pillow(encoder, golden, monkeypatch):
    """Pillow 13 resizes in another order than 12; with either the golden vectors come out."""

    def always_width_first(self, size, resample=Image.Resampling.BICUBIC, **rest):
        return resize(resize(self, (size[0], self.height), resample, **rest), size, resample, **rest)

    def always_height_first(self, size, resample=Image.Resampling.BICUBIC, **rest):
        return resize(resize(self, (self.width, size[1]), resample, **rest), size, resample, **rest)

    resize = Image.Image.resize
    for order in (always_width_first, always_height_first):
        monkeypatch.setattr(Image.Image, "resize", order)
        vectors = encoder.encode_prompts(golden["prompts"][7:16], golden["visuals"][7:16])
        np.testing.assert_allclose(vectors, golden["adapted"][7:16], atol=TOLERANCE, rtol=0)


def test_true_three_axis_positions_would_give_other_vectors(encoder, golden):
    """The trap this port avoids is real: with the positions transformers 5 would build, vectors differ."""
    index = 8
    prompt, visual = golden["prompts"][index], golden["visuals"][index]
    cut_plan = plan(visual, encoder.max_pixels, encoder.runner.settings)
    ids = torch.tensor([encoder.runner.tokens.ids(prompt, is_video=False, visual_tokens=cut_plan.tokens)])
    batch = encoder.batch([Prepared(ids=tuple(ids[0].tolist()), visual=visual, plans=(cut_plan,))])
    types = (ids == encoder.runner.tokens.image_id).int()
    positions, _ = encoder.model.get_rope_index(ids, mm_token_type_ids=types, image_grid_thw=batch.grids)
    visual_states = encoder.runner.visual_states(encoder.model, batch)
    embeddings = encoder.model.language_model.embed_tokens(batch.ids)
    embeddings = embeddings.masked_scatter(batch.is_visual.unsqueeze(-1), visual_states)
    states = encoder.model.language_model(inputs_embeds=embeddings, position_ids=positions, use_cache=False)
    wrong = torch.nn.functional.normalize(states.last_hidden_state[0, -1], dim=0)
    assert np.abs(wrong.detach().numpy() - golden["adapted"][index]).max() > 100 * TOLERANCE
