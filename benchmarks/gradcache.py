"""A GradCache step with the frozen vision tower run once against twice, and its peak memory by batch size.

Each number comes from a process of its own: pages of the sample collection (32 tokens each) with short questions, a
random Qwen2-VL (vision 6 x 160, language 2 x 128: the tower costs about as much of a step as in the 2 B model), LoRA on
the language model, float32 on one CPU thread. Time is the process's own CPU time, so other jobs do not count.

    python benchmarks/gradcache.py --batches 64 1024
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Iterator

STEPS = 3
MAX_PIXELS = 28 * 28 * 32  # 32 tokens a page


def measure(batch: int, once: bool, steps: int) -> dict[str, float]:
    """CPU seconds of a step (median) and peak memory of this process, for `batch` pairs."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLModel
    from vlm2vec_finetune.gradcache import GradCache, Slot
    from vlm2vec_finetune.inputs import Prepared
    from vlm2vec_finetune.lora import add_adapter
    from vlm2vec_finetune.loss import info_nce
    from vlm2vec_finetune.recipe import recipe_from
    from vlm2vec_finetune.spool import Spool

    from vlm2vec_rag import samples
    from vlm2vec_rag.encoder.qwen2vl.patches import SETTINGS, cut, plan
    from vlm2vec_rag.encoder.qwen2vl.runner import Qwen2VLRunner
    from vlm2vec_rag.encoder.runner import PatchProjection
    from vlm2vec_rag.media import MediaReader, MediaSettings

    torch.manual_seed(0)
    torch.set_num_threads(1)
    text = {
        "vocab_size": 2000, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 4,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
    }  # fmt: skip
    vision = {"depth": 6, "embed_dim": 160, "hidden_size": 128, "num_heads": 4}
    config = Qwen2VLConfig(text_config=text, vision_config=vision, image_token_id=1999, video_token_id=1998)
    model = Qwen2VLModel(config)
    model.visual.patch_embed = PatchProjection(model.visual.patch_embed.proj)
    recipe = recipe_from({"model_name": "-", "output_dir": "-", "datasets": [{"path": "-"}]})
    keys = add_adapter(model, recipe)
    runner = Qwen2VLRunner(_tokens(), SETTINGS, MAX_PIXELS)
    engine = GradCache(
        model, runner, dim=128, chunk_size=8, device=torch.device("cpu"), bf16=False, vision_is_frozen=once, keys=keys
    )
    with MediaReader(MediaSettings(max_pixels=MAX_PIXELS)) as reader:
        pages = [item.image for name in ("hcl-colors", "reportlab-charts")
                 for item in reader.items(samples.folder() / f"{name}.pdf")]  # type: ignore[union-attr]  # fmt: skip

    def inputs() -> Iterator[Slot]:
        for pair in range(batch):
            ids = tuple(range(10, 30 + pair % 7))
            yield _slot(2 * pair, Prepared(ids=ids, patches=None, grid=None, visual_tokens=0, **_KEYS))
            page = pages[pair % len(pages)]
            chosen = plan(page, MAX_PIXELS, SETTINGS)
            prepared = Prepared(
                ids=(*[1999] * chosen.tokens, 5, 6, 7), patches=cut(page, chosen, SETTINGS), grid=chosen.grid,
                visual_tokens=chosen.tokens, **_KEYS,
            )  # fmt: skip
            yield _slot(2 * pair + 1, prepared)

    def _slot(number: int, prepared: Prepared) -> Slot:
        return Slot(slot=number, key=number, prepared=prepared)

    model.train()
    seconds = []
    for _ in range(steps):
        began = time.process_time()
        model.zero_grad()
        with Spool() as spool:
            seen = engine.look(inputs(), spool)
            vectors = engine.encode(seen, spool).requires_grad_(True)
            info_nce(vectors[0::2], vectors[1::2], temperature=0.02).backward()
            engine.backpropagate(seen, spool, vectors.grad)
        seconds.append(time.process_time() - began)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds), "peak_mb": peak_mb}


def _tokens() -> object:
    """What the runner asks of a tokenizer here: the ids are made up below."""
    return types.SimpleNamespace(pad_id=0, image_id=1999, video_id=1998)


_KEYS = {"content_key": b"0" * 16, "visual_key": b"0" * 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--one", nargs=2, metavar=("BATCH", "TIMES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        batch, times = int(arguments.one[0]), int(arguments.one[1])
        print(json.dumps(measure(batch, times == 1, STEPS if batch <= 128 else 1)))
        return
    print(f"{'pairs':>6}  {'tower runs':>10}  {'CPU s/step':>10}  {'items/CPU s':>11}  {'peak MB':>8}")
    for batch in arguments.batches:
        for times in (1, 2):
            command = [sys.executable, __file__, "--one", str(batch), str(times)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            speed = 2 * batch / found["seconds"]
            print(
                f"{batch:6}  {times:10}  {found['seconds']:10.1f}  {speed:11.1f}  {found['peak_mb']:8.0f}", flush=True
            )


if __name__ == "__main__":
    main()
