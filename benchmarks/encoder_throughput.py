"""Items per second of the encoder against the straightforward port, in one run on one machine.

Peer: transformers' own `Qwen2VLForConditionalGeneration`, fed by its own image processor, one padded batch after
another in the order given, with logits and all hidden states, as the public VLM2Vec code runs it. Both sides run the
same random weights (55 M parameters, the shape of Qwen2-VL at a small size) in the same dtype on the same inputs.

    python benchmarks/encoder_throughput.py

Prints a table; the last column is the ratio. Vectors of the two sides are compared, so that nothing is gained by error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoTokenizer, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlm2vec_rag import load_encoder

TINY = Path(__file__).parents[1] / "tests" / "data" / "conformance" / "tiny" / "base"
PAGE_PROMPT = "<|image_pad|> Understand the content of the provided document image."
MAX_PIXELS = 28 * 28 * 256


def make_checkpoint(folder: Path) -> None:
    """Random weights in the hub's layout."""
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8}
    config |= {"vocab_size": 32000, "rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]}}
    config["vision_config"] |= {"depth": 6, "embed_dim": 384, "num_heads": 6, "hidden_size": 512, "mlp_ratio": 4}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration(AutoConfig.from_pretrained(folder))
    print(f"{sum(each.numel() for each in model.parameters()) / 1e6:.0f} M parameters")
    model.save_pretrained(folder)


class Peer:
    """The straightforward port; explicit plain positions, so that it is at least right."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
        # `size=` would lose to the max_pixels in the checkpoint's own preprocessor_config
        self.images = Qwen2VLImageProcessorPil.from_pretrained(folder, min_pixels=3136, max_pixels=MAX_PIXELS)
        self.image_id = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")

    @torch.inference_mode()
    def encode(self, prompts: list[str], images: list[Image.Image | None], batch: int) -> np.ndarray:
        rows = []
        for start in range(0, len(prompts), batch):
            texts, shown = prompts[start : start + batch], [each for each in images[start : start + batch] if each]
            pixels = self.images(images=shown, return_tensors="pt") if shown else None
            counts = iter((pixels["image_grid_thw"].prod(1) // 4).tolist() if shown else [])
            texts = [
                each.replace("<|image_pad|>", "<|image_pad|>" * next(counts)) if "<|" in each else each
                for each in texts
            ]
            tokens = self.tokenizer(texts, return_tensors="pt", padding=True)
            positions = torch.arange(tokens["input_ids"].shape[1]).expand(3, *tokens["input_ids"].shape)
            visual = (
                {
                    "pixel_values": pixels["pixel_values"].to(self.model.dtype),
                    "image_grid_thw": pixels["image_grid_thw"],
                }
                if shown
                else {}
            )
            out = self.model(**tokens, **visual, position_ids=positions, output_hidden_states=True, use_cache=False)
            last = out.hidden_states[-1][torch.arange(len(texts)), tokens["attention_mask"].sum(1) - 1]
            rows.append(torch.nn.functional.normalize(last.float(), dim=-1).numpy())
        return np.concatenate(rows)


def measure(function, repeats: int) -> tuple[float, np.ndarray]:
    """The best of a few runs: the machine's noise only ever adds."""
    best, result = float("inf"), None
    for _ in range(repeats):
        started = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - started)
    return best, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)

    def page() -> Image.Image:
        width, height = (int(each) for each in rng.integers(200, 700, 2))
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    words = [" ".join(["revenue"] * int(each)) for each in rng.integers(2, 60, arguments.items)]
    pages = [page() for _ in range(arguments.items)]
    mixed = [each for pair in zip(words, pages, strict=True) for each in pair][: arguments.items]
    workloads = {
        "texts": (words, [None] * arguments.items),
        "pages": ([PAGE_PROMPT] * arguments.items, pages),
        "mixed": (
            [each if isinstance(each, str) else PAGE_PROMPT for each in mixed],
            [None if isinstance(each, str) else each for each in mixed],
        ),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        make_checkpoint(folder)
        ours = load_encoder(folder, device="cpu", dtype=arguments.dtype, max_pixels=MAX_PIXELS)
        peer = Peer(folder, getattr(torch, arguments.dtype))
        print(
            f"{arguments.dtype}, {torch.get_num_threads()} threads, {arguments.items} items, batches of 8 for the peer"
        )
        print(f"{'':8}{'ours':>12}{'peer':>12}{'ratio':>8}{'cosine':>9}")
        for name, (prompts, images) in workloads.items():
            seconds, vectors = measure(lambda p=prompts, v=images: ours.encode_prompts(p, v), arguments.repeats)
            peer_seconds, reference = measure(lambda p=prompts, v=images: peer.encode(p, v, 8), arguments.repeats)
            cosine = float((vectors * reference).sum(1).min())
            count = len(prompts)
            print(
                f"{name:8}{count / seconds:8.1f} / s{count / peer_seconds:8.1f} / s"
                f"{peer_seconds / seconds:8.2f}{cosine:9.4f}"
            )


if __name__ == "__main__":
    main()
