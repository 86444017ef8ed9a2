"""Ship an adapter: only one that is better than what it began from, with a model card that says by how much."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

from vlm2vec_finetune.checkpoints import TRAINING, save_full
from vlm2vec_finetune.evaluate import Comparison
from vlm2vec_finetune.scoring import HEADLINE, METRICS
from vlm2vec_rag.disk import replacing
from vlm2vec_rag.encoder.adapter import CONFIG, WEIGHTS, adapter_digest, merge_adapter
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.encoder.trained import FILE as TRAINED_WITH
from vlm2vec_rag.errors import AdapterMismatch, InvalidInput

CARD, EVALUATION = "README.md", "evaluation.json"
NAMES = {"ndcg@5": "NDCG@5", "hit@1": "Hit@1", "recall@10": "Recall@10", "mrr": "MRR"}


def export_adapter(adapter: Path, to: Path, comparison: Comparison, *, even_if_worse: bool = False) -> Path:
    """Copy an adapter to a folder of its own, with its numbers and a model card.

    Args:
        adapter: As training left it.
        to: A new folder.
        comparison: Of the adapter with what it began from, on held-out pairs.
        even_if_worse: Export whatever the numbers say; the card says it too.

    Raises:
        AdapterMismatch: The adapter is not better, and was not to be exported regardless.
        InvalidInput: The folder holds something.
    """
    gain = comparison.gain(HEADLINE)
    if not comparison.is_better and not even_if_worse:
        raise AdapterMismatch(
            f"{adapter} is not better than {comparison.facts['model']}: {NAMES[HEADLINE]} changes by {gain} points on "
            f"{gain.n} held-out questions, and 0 is not below that interval. Train longer or on more pairs, evaluate "
            "on more held-out pairs, or export it regardless with --even-if-worse"
        )
    if to.exists() and any(to.iterdir()):
        raise InvalidInput(f"{to} is not empty; give a new folder")
    with replacing(to) as part:
        part.mkdir()
        for name in (CONFIG, WEIGHTS, TRAINING, TRAINED_WITH):
            if (adapter / name).is_file():
                shutil.copy(adapter / name, part / name)
        (part / EVALUATION).write_text(json.dumps(comparison.to_dict(), indent=1) + "\n", encoding="utf-8")
        (part / CARD).write_text(model_card(part, comparison, name=to.name), encoding="utf-8")
    return to


def model_card(adapter: Path, comparison: Comparison, *, name: str) -> str:
    """Markdown with the hub's front matter, from the adapter's own settings and the comparison's numbers."""
    config: dict[str, Any] = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    base, facts = config["base_model_name_or_path"], comparison.facts
    rows = "\n".join(
        f"| {NAMES[metric]} | {100 * facts['chance'][metric]:.1f} | {comparison.before.interval(metric)} "
        f"| {comparison.after.interval(metric)} "
        f"| {comparison.gain(metric)} |"
        for metric in METRICS
    )
    verdict = (
        "The whole interval of the NDCG@5 difference lies above 0."
        if comparison.is_better
        else "**Not better**: the interval of the NDCG@5 difference does not lie above 0. Exported regardless."
    )
    unread = f" {facts['unreadable']} files could not be read; they rank last." if facts.get("unreadable") else ""
    kind = "DoRA" if config.get("use_dora") else "LoRA"
    return f"""---
library_name: peft
base_model: {base}
pipeline_tag: visual-document-retrieval
tags: [vlm2vec, multimodal-embedding, lora]
---
# {name}

A {kind} adapter (rank {config["r"]}, alpha {config["lora_alpha"]}) for `{base}`, trained with vlm2vec-finetune from
`{facts["model"]}`. Digest `{adapter_digest(adapter)}`. Evaluated {datetime.date.today().isoformat()}.

| {facts["questions"]} questions, {facts["candidates"]} candidates | chance | before | after | difference |
|---|---|---|---|---|
{rows}

Means in percent with 95 % bootstrap intervals over questions; the difference is paired.{unread}
Held-out pairs: `{facts["held_out"]}`, SHA-256 `{facts["held_out_sha256"][:16]}…`. {verdict}

```python
from vlm2vec_rag import load_encoder
encoder = load_encoder("{base}", adapter="PATH/TO/THIS/FOLDER")
```
"""


def merge(adapter: Path, to: Path) -> Path:
    """Fold an adapter into its base and write the whole model, in the base's own number format and names.

    Raises:
        AdapterMismatch: A tensor fits nothing.
        InvalidInput: The folder holds something.
        ModelNotFound: The base cannot be reached.
    """
    if to.exists() and any(to.iterdir()):
        raise InvalidInput(f"{to} is not empty; give a new folder")
    files = find_model(adapter)
    model = files.family.load_base(files.base)
    merge_adapter(model, adapter)
    with replacing(to) as part:
        save_full(part, model, files.base)
        files.trained_with.write(part)
    return to
