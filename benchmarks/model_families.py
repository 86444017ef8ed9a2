"""Seconds and memory of one A4 page, of every architecture at its real size, with random weights, beside each other.

    python benchmarks/model_families.py                      # every model that fits
    python benchmarks/model_families.py --only nano google/embeddinggemma-2

Each model runs in a process of its own. `estimate` is what `vlm2vec-rag models` would say from the speed of products,
measured in the same process right before. The weights are random, so only time and memory mean something; they are made
in memory, for no download is needed. `--share` takes a part of the page's pixels, where a whole one takes too long.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np


def backbone(name: str):
    """A model of that architecture with random weights, and its family."""
    from transformers import (
        EmbeddingGemma2Config,
        EmbeddingGemma2Model,
        Qwen2VLConfig,
        Qwen2VLModel,
        Qwen3VLConfig,
        Qwen3VLModel,
    )

    if name == "google/embeddinggemma-2":
        vision = {"hidden_size": 768, "num_hidden_layers": 16, "num_attention_heads": 12, "num_key_value_heads": 12}
        vision |= {"head_dim": 64, "intermediate_size": 3072, "pooling_kernel_size": 3, "patch_size": 16}
        return EmbeddingGemma2Model, EmbeddingGemma2Config(vision_config=vision, audio_config=None), "embedding_gemma2"
    if name == "VLM2Vec/VLM2Vec-V2.0":
        text = {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12}
        text |= {"num_key_value_heads": 2, "vocab_size": 151936}
        text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}}
        vision = {"depth": 32, "embed_dim": 1280, "num_heads": 16, "hidden_size": 1536, "mlp_ratio": 4}
        return Qwen2VLModel, Qwen2VLConfig(text_config=text, vision_config=vision), "qwen2_vl"
    large = name.endswith("8B")
    text = {"hidden_size": 4096 if large else 2048, "intermediate_size": 12288 if large else 6144}
    text |= {"num_hidden_layers": 36 if large else 28, "num_attention_heads": 32 if large else 16}
    text |= {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936}
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20]}}
    vision = {"depth": 27 if large else 24, "hidden_size": 1152 if large else 1024}
    vision |= {"intermediate_size": 4304 if large else 4096, "out_hidden_size": text["hidden_size"]}
    vision |= {"deepstack_visual_indexes": [8, 16, 24] if large else [5, 11, 17]}

    return Qwen3VLModel, Qwen3VLConfig(text_config=text, vision_config=vision), "qwen3_vl"


def measure(name: str, share: float) -> dict[str, float | str]:
    """Encode one page."""
    import torch
    from PIL import Image

    from vlm2vec_rag.encoder.device import choose_device, choose_dtype, product_flops
    from vlm2vec_rag.encoder.load import families, find_model
    from vlm2vec_rag.encoder.models import models
    from vlm2vec_rag.encoder.runner import PatchProjection

    device = choose_device()
    dtype = choose_dtype(device)
    info = next(each for each in models() if each.name == name)
    random = np.random.default_rng(0)
    page = Image.fromarray(random.integers(0, 256, (1754, 1240, 3), dtype=np.uint8))
    if name == "nano":
        files = find_model("nano")
        model, runner = files.family.load(files, device, dtype), files.family.runner(files, files.family.max_pixels)
        prepared = runner.prepare(files.family.prompts.item("page", ""), page)
        patches, ids = runner.cut(prepared), prepared.ids
        grids = [plan.grid for plan in prepared.plans]
    else:
        architecture, config, model_type = backbone(name)
        family = next(each for each in families() if each.model_type == model_type)
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = architecture(config).eval().requires_grad_(False)
        torch.set_default_dtype(torch.float32)
        if hasattr(model, "visual"):
            model.visual.patch_embed = PatchProjection(model.visual.patch_embed.proj)
        runner, patches, ids, grids = by_hand(model_type, family, config, page, share)
    speed = product_flops(device, dtype)
    began = time.perf_counter()
    with torch.inference_mode():
        batch = runner.collate([ids], [grids], patches).to(device)
        vector = runner.vectors(model, batch, info.dim)
    seconds = time.perf_counter() - began
    assert vector.shape == (1, info.dim)
    return {
        "tokens": len(ids),
        "seconds": seconds,
        "estimate": share * info.page_flops / speed,
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "parameters": sum(each.numel() for each in model.parameters()),
        "runs_on": f"{device} {str(dtype).removeprefix('torch.')}",
    }


def by_hand(model_type: str, family, config, page, share: float):
    """A runner without a tokenizer: the tokens of a page between two others."""
    from vlm2vec_rag.encoder.embeddinggemma2 import patches as gemma
    from vlm2vec_rag.encoder.embeddinggemma2.runner import EmbeddingGemma2Runner
    from vlm2vec_rag.encoder.qwen2vl import patches as qwen2
    from vlm2vec_rag.encoder.qwen2vl.runner import Qwen2VLRunner
    from vlm2vec_rag.encoder.qwen3vl import patches as qwen3
    from vlm2vec_rag.encoder.qwen3vl.runner import Qwen3VLRunner

    pixels = int(family.max_pixels * share)
    kind = {"qwen2_vl": Qwen2VLRunner, "qwen3_vl": Qwen3VLRunner, "embedding_gemma2": EmbeddingGemma2Runner}[model_type]
    runner = kind.__new__(kind)
    runner.pad_id, runner.image_id, runner.video_id = 0, config.image_token_id, config.video_token_id
    if model_type == "embedding_gemma2":
        plan = gemma.plan(page, gemma.budget_of(pixels))
        patches = gemma.cut(page, plan)
    elif model_type == "qwen2_vl":
        import torch

        runner._visual_ids = torch.tensor([config.image_token_id, config.video_token_id])
        plan = qwen2.plan(page, pixels, qwen2.SETTINGS)
        patches = qwen2.cut(page, plan, qwen2.SETTINGS)
    else:
        runner.settings = qwen3.SETTINGS
        plan = qwen3.image_plan(page, pixels, qwen3.SETTINGS)
        patches = qwen3.cut_image(page, plan, qwen3.SETTINGS)
    return runner, [patches], [5, *[config.image_token_id] * plan.tokens, *range(6, 16)], [plan.grid]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="names of models")
    parser.add_argument("--share", type=float, default=1.0, help="part of the page's pixels, for the large ones")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.share)))
        return
    from vlm2vec_rag.encoder.models import models

    print(f"{'model':28} {'parameters':>11} {'tokens':>6} {'s':>8} {'estimate':>8} {'peak GB':>7}  on")
    for name in arguments.only or [each.name for each in models()]:
        share = 1.0 if name in ("nano", "google/embeddinggemma-2") else arguments.share
        command = [sys.executable, __file__, "--one", name, "--share", str(share)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"{name:28} did not run: {(done.stderr.splitlines() or ['killed'])[-1][:90]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{name:28} {found['parameters']:11,} {found['tokens']:6} {found['seconds']:8.1f} {found['estimate']:8.1f} "
            f"{found['memory_gb']:7.1f}  {found['runs_on']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
