"""Teach nano one manual: a LoRA adapter, and what it gains on questions about the manual that training never saw.

    python examples/finetune_nano.py MANUAL.pdf [--steps 32]

Runs offline, in 12 CPU minutes for 40 pages. Two thirds of the questions that the manual's own text gives are
trained; the others measure, with every page a candidate. `vlm2vec-finetune` does the same with many documents, and
holds whole documents back.

An adapter pays where a manual is unlike what nano knows. It learnt from English which words are frequent: a manual in
German (`apt-get download maint-guide-de`) went from 36.3 to 40.4. Short ones in English lost by it, so look at the gain
before you keep an adapter; `vlm2vec-finetune export` refuses one that is not better.
"""

import argparse
from pathlib import Path

import torch
from vlm2vec_finetune import train
from vlm2vec_finetune.datasets.files import read_pairs
from vlm2vec_finetune.evaluate import compare, encode_with
from vlm2vec_finetune.make_pairs import pairs_from_text
from vlm2vec_finetune.pairs import write_pairs
from vlm2vec_finetune.passages import passages_of_files
from vlm2vec_finetune.recipe import recipe_from
from vlm2vec_finetune.scoring import trial_of
from vlm2vec_finetune.visuals import Visuals

from vlm2vec_rag import load_encoder
from vlm2vec_rag.encoder.device import choose_dtype
from vlm2vec_rag.media import MediaReader
from vlm2vec_rag.pixels import MAX_PIXELS

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("manual", type=Path)
parser.add_argument("--steps", type=int, default=32)
parser.add_argument("--pages", type=int, default=40, help="of a longer manual only so many, spread evenly")
parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help="of a page; half of them is half the time")
args = parser.parse_args()
runs = Path("runs") / args.manual.stem

with MediaReader() as reader:
    pages = list(passages_of_files([args.manual], reader, pages_per_document=args.pages))
pairs = pairs_from_text(pages, ["headings", "captions", "sentences"], per_page=8)
# every third question measures: none of those is trained, though other questions about its page are
sides = {"train": [each for at, each in enumerate(pairs) if at % 3], "held_out": pairs[::3]}
for name, side in sides.items():
    write_pairs(side, runs / f"{name}.jsonl")
print(f"{len(pages)} pages, {len(sides['train'])} questions to train with, {len(sides['held_out'])} to measure with")

fastest = choose_dtype(torch.device("cpu"))
recipe = recipe_from(
    {
        "model_name": "nano",
        "output_dir": str(runs / "run"),
        "datasets": [{"name": "manual", "path": str(runs / "train.jsonl")}],
        "vision_cache": str(runs / "seen"),  # the tower looks at each page once, however often it comes up
        # all that a page or question says goes through o_proj; more weights learn so few pages by heart
        "lora_target_modules": ["o_proj"],
        "use_dora": False,
        "lora_rank": 64,
        "lora_alpha": 128,
        "max_pixels": args.max_pixels,
        "max_steps": args.steps,
        "batch_size": min(32, len(sides["train"])),
        "sub_batch_size": min(32, len(sides["train"])),
        "mask_duplicates": True,  # a page that is asked twice in a batch is not its own negative
        "both_directions": True,
        "learning_rate": 1.5e-3,
        "temperature": 0.04,
        "warmup_steps": args.steps // 10,
        "device": "cpu",
        # bfloat16 where this processor multiplies it; without AMX or AVX512-BF16 it takes five times as long as float32
        "precision": "bf16" if fastest == torch.bfloat16 else "float32",
        "workers": 2,
    }
)
adapter = train(recipe, restart=True).folder

held_out = runs / "held_out.jsonl"
before, after = (load_encoder("nano", path, "cpu", max_pixels=args.max_pixels) for path in (None, adapter))
trial = trial_of(read_pairs(held_out), before.prompts, [each.content for each in pages])
with Visuals(max_pixels=before.max_pixels, frames=before.frames) as visuals:
    sides_encoded = [encode_with(encoder, visuals) for encoder in (before, after)]
    result = compare(*sides_encoded, trial, held_out=held_out, names=("nano", str(adapter)))
for metric in ("ndcg@5", "hit@1", "recall@10"):
    told = result.before.interval(metric), result.after.interval(metric), result.gain(metric)
    print(f"{metric:10} before {told[0]}   after {told[1]}   gain {told[2]}")
print(f"adapter: {adapter}")
