"""Run transformers' own EmbeddingGemma 2 and its processors over `gemma2_cases`, mean-pool, and keep the vectors.

Needs torchvision (the video processor's) and Pillow 13 beside what the tests need.

    python tests/support/make_gemma2_golden.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from gemma2_cases import cases
from tiny_models import tiny_embedding_gemma2
from transformers import AutoTokenizer, EmbeddingGemma2Model, EmbeddingGemma2Processor, Gemma4AudioFeatureExtractor
from transformers.models.embedding_gemma2.video_processing_embedding_gemma2 import EmbeddingGemma2VideoProcessor
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

TO = Path(__file__).parents[1] / "data" / "conformance" / "embeddinggemma2" / "vectors.npz"


def main() -> None:
    folder = tiny_embedding_gemma2(Path(tempfile.mkdtemp()) / "tiny")
    processor = EmbeddingGemma2Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessorPil(),
        AutoTokenizer.from_pretrained(folder),
        EmbeddingGemma2VideoProcessor(max_soft_tokens=140),
    )
    model = EmbeddingGemma2Model.from_pretrained(folder, dtype=torch.float32).eval()
    vectors, ids = {}, {}
    for name, case in cases().items():
        given = {"images": [list(case.images)] if case.images else None}
        if case.frames:
            video = torch.stack([torch.from_numpy(np.array(frame).transpose(2, 0, 1)) for frame in case.frames])
            given["videos"] = [video]
        inputs = processor(text=[case.prompt], return_tensors="pt", do_sample_frames=False, **given)
        with torch.no_grad():
            states = model(**{key: value for key, value in inputs.items() if key in ACCEPTED}).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        pooled = (states * mask).sum(1) / mask.sum(1)  # as sentence-transformers' Pooling("mean")
        vectors[name] = torch.nn.functional.normalize(pooled, dim=-1)[0].numpy()
        ids[f"ids of {name}"] = inputs["input_ids"][0].numpy().astype(np.int16)
        print(f"{name}: {len(ids[f'ids of {name}'])} tokens, {processor.decode(inputs['input_ids'][0][:40])!r}")
    TO.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(TO, **vectors, **ids)
    print(TO, TO.stat().st_size, "bytes")


ACCEPTED = (
    "input_ids", "attention_mask", "pixel_values", "image_position_ids", "pixel_values_videos", "video_position_ids",
    "num_frames_per_video",
)  # fmt: skip

if __name__ == "__main__":
    main()
