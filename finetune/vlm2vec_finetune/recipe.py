"""A recipe: every setting of a training run, read from YAML and checked as a whole.

Defaults are the paper's (VLM2Vec-V2, arXiv:2507.04590; `train_v2-qwen2vl-2B.sh` at 6e1e1d4). All that is wrong with a
recipe is said at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.extras import require
from vlm2vec_rag.pixels import MAX_PIXELS, MIN_PIXELS

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # linear layers of the LLM
LORA_KEYS = ("lora_rank", "lora_alpha", "lora_dropout", "use_dora", "lora_target_modules")
# settings that change neither the batches nor the weights, so a run may be resumed with others
FREE_KEYS = (
    "output_dir", "workers", "save_steps", "keep_checkpoints", "log_steps", "evaluate_steps", "held_out", "chunk_size",
    "gradient_checkpointing", "max_bad_pairs", "vision_cache", "device", "modules",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEntry:
    """One data set of the mix."""

    name: str  # how reports call it
    path: str = ""  # a pairs file
    dataset: str = "pairs"  # which reader: `pairs`, or a name of your own (see `register_dataset`)
    weight: float = 1.0  # share of the sub-batches, on any scale
    cap: int | None = None  # only the first so many pairs
    options: Mapping[str, Any] = field(default_factory=dict)  # further keys, for a reader of your own


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every setting of a run. Keys of the YAML are these names."""

    model_name: str  # hub id or folder: a base model, or an adapter to go on training
    output_dir: str
    datasets: tuple[DatasetEntry, ...]
    modules: tuple[str, ...] = ()  # Python files that register data sets of your own

    mode: str = "lora"  # lora, or full: every weight
    lora_rank: int = 16
    lora_alpha: int = 64
    lora_dropout: float = 0.1
    use_dora: bool = True
    lora_target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "down_proj")
    freeze_vision: bool = True

    batch_size: int = 1024  # pairs of a step, over all ranks
    sub_batch_size: int = 64  # pairs in a row from one source
    chunk_size: int = 8  # inputs of one forward pass: less memory, same result
    max_steps: int = 5000
    learning_rate: float = 5e-5
    warmup_steps: int = 100
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    precision: str = "bf16"  # bf16 or float32
    gradient_checkpointing: bool = False  # a third more time for much less memory
    seed: int = 42

    temperature: float = 0.02
    both_directions: bool = False
    negatives_per_query: int = 0  # explicit hard negatives taken from each pair
    mask_duplicates: bool = False  # the same content twice in a batch is not a negative

    max_pixels: int = MAX_PIXELS  # of one image, page or frame
    frames: int = 8  # of a clip
    max_tokens: int = 4096  # where text without pixels is cut
    workers: int = 4  # threads that read ahead; no influence on the batches
    max_bad_pairs: int = 100  # unreadable pairs are skipped up to here, then the run stops
    vision_cache: str | None = None  # folder to keep the frozen vision tower's states across steps

    save_steps: int = 50
    keep_checkpoints: int = 3
    log_steps: int = 1
    held_out: str | None = None  # pairs file to evaluate on while training
    evaluate_steps: int = 0  # 0 evaluates only before and after
    device: str | None = None  # None takes the best there is

    def __post_init__(self) -> None:
        if problems := _problems(self):
            raise InvalidInput("the recipe makes no sense:\n" + "\n".join(f"  - {each}" for each in problems))

    @property
    def digest(self) -> str:
        """Sixteen digits over all that decides the weights: batches, model, loss and schedule."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()[:16]

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the weights, as JSON."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for source in values["datasets"]:
            source["path"] = Path(source["path"]).name
        return {key: value for key, value in values.items() if key not in FREE_KEYS}


def load_recipe(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe; its paths are taken from where the command runs.

    Args:
        path: A YAML file.
        overrides: Values that replace those of the file.

    Raises:
        InvalidInput: The file is not readable as a recipe; the message names every key that is wrong.
        MissingExtra: PyYAML is not installed.
    """
    yaml = require("yaml", "finetune")
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"cannot read the recipe {path}: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{path} holds a {type(values).__name__}; expected `key: value` lines, see finetune/recipes")
    return recipe_from({**values, **(overrides or {})}, name=str(path))


def recipe_from(values: Mapping[str, Any], *, name: str = "the recipe") -> Recipe:
    """A recipe from plain values, all of them checked before any is complained about.

    Raises:
        InvalidInput: Names every unknown, missing, mistyped and contradictory key.
    """
    given = dict(values)
    fields = {each.name: each for each in dataclasses.fields(Recipe)}
    problems = [_unknown(key, list(fields)) for key in given if key not in fields]
    required = {each for each, f in fields.items() if f.default is dataclasses.MISSING}
    problems += [f"{key} is missing" for key in sorted(required - set(given))]
    sources, more = _sources(given.get("datasets"))
    problems += more
    types = get_type_hints(Recipe)
    checked: dict[str, Any] = {"datasets": sources}
    for key, value in given.items():
        if key in fields and key != "datasets":
            try:
                checked[key] = _typed(value, types[key])
            except (TypeError, ValueError) as error:
                problems.append(f"{key} is {value!r}: {error}")
    if checked.get("mode") == "full" and (asked := [key for key in LORA_KEYS if key in given]):
        problems.append(f"mode: full trains every weight, so {', '.join(asked)} contradict it; remove them or the mode")
    # what is missing or mistyped has been said; what the rest says together is checked all the same
    draft = object.__new__(Recipe)
    for key, f in fields.items():
        object.__setattr__(draft, key, checked.get(key, "" if key in required else f.default))
    problems += [each for each in _problems(draft) if "datasets" in given or not each.startswith("datasets is empty")]
    if problems:
        raise InvalidInput(f"{name} has {len(problems)} problems:\n" + "\n".join(f"  - {each}" for each in problems))
    return Recipe(**checked)


def _sources(value: Any) -> tuple[tuple[DatasetEntry, ...], list[str]]:
    """The `datasets:` list: each entry a mapping, keys that `DatasetEntry` does not know go to the reader's options."""
    if value is None:
        return (), []
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (), ["datasets is no list; write one `- name: …` with `path`, `weight` and `cap` for each"]
    types = get_type_hints(DatasetEntry)
    found: list[DatasetEntry] = []
    problems: list[str] = []
    for at, entry in enumerate(value, start=1):
        if not isinstance(entry, Mapping):
            problems.append(f"datasets entry {at} is {entry!r}; expected `name`, `path`, `weight` and `cap`")
            continue
        known: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for key, each in entry.items():
            if key in types and key != "options":
                try:
                    known[key] = _typed(each, types[key])
                except (TypeError, ValueError) as error:
                    problems.append(f"datasets entry {at}: {key} is {each!r}: {error}")
            else:
                options[str(key)] = each
        if known.get("dataset", "pairs") == "pairs":
            problems += [f"datasets entry {at}: {_unknown(key, list(types))}" for key in options]
            if not known.get("path"):
                problems.append(f"datasets entry {at} has no path; give the pairs file")
        name = known.pop("name", "") or Path(known.get("path") or known.get("dataset") or f"source {at}").stem
        found.append(DatasetEntry(name=name, options=options, **known))
    return tuple(found), problems


LEAST = {
    "lora_rank": 1, "lora_alpha": 1, "batch_size": 2, "sub_batch_size": 1, "chunk_size": 1, "max_steps": 1,
    "warmup_steps": 0, "weight_decay": 0, "seed": 0, "negatives_per_query": 0, "max_pixels": MIN_PIXELS,
    "frames": 1, "max_tokens": 1, "workers": 0, "max_bad_pairs": 0, "save_steps": 1, "keep_checkpoints": 1,
    "log_steps": 1, "evaluate_steps": 0,
}  # fmt: skip
ABOVE_ZERO = ("learning_rate", "temperature", "max_grad_norm")
CHOICES = {"mode": ("lora", "full"), "precision": ("bf16", "float32")}


def _problems(r: Recipe) -> list[str]:
    """Everything about the values that makes no sense, alone or together."""
    found = [
        f"{key} is {getattr(r, key)}; expected {least} or more"
        for key, least in LEAST.items()
        if getattr(r, key) < least
    ]
    found += [f"{key} is {getattr(r, key)}; expected more than 0" for key in ABOVE_ZERO if not getattr(r, key) > 0]
    found += [
        f"{key} is {getattr(r, key)!r}; expected {' or '.join(choices)}"
        for key, choices in CHOICES.items()
        if getattr(r, key) not in choices
    ]
    others = [each for each in r.lora_target_modules if each not in MODULES]
    contradictions = {
        f"lora_dropout is {r.lora_dropout}; expected 0 or more and below 1": not 0 <= r.lora_dropout < 1,
        f"lora_target_modules has {', '.join(others)}; the language model has {', '.join(MODULES)}": bool(others),
        "lora_target_modules is empty; nothing would be trained": not r.lora_target_modules,
        f"sub_batch_size {r.sub_batch_size} does not divide batch_size {r.batch_size}": r.sub_batch_size >= 1
        and r.batch_size % r.sub_batch_size != 0,
        f"warmup_steps {r.warmup_steps} leaves nothing of max_steps {r.max_steps}": r.warmup_steps >= r.max_steps > 0,
        "freeze_vision: false needs mode: full; an adapter changes the language model only": r.mode == "lora"
        and not r.freeze_vision,
        "vision_cache keeps states of a frozen vision tower, and freeze_vision is false": r.vision_cache is not None
        and not r.freeze_vision,
        "evaluate_steps is set, and there is no held_out to evaluate on": r.evaluate_steps > 0 and not r.held_out,
        "datasets is empty; give at least one": not r.datasets,
    }
    return found + [each for each, is_wrong in contradictions.items() if is_wrong] + _mix_problems(r.datasets)


def _mix_problems(sources: Sequence[DatasetEntry]) -> list[str]:
    found = [
        f"{source.name}: weight is {source.weight}; expected more than 0, or leave the data set out"
        for source in sources
        if not source.weight > 0
    ]
    found += [
        f"{source.name}: cap is {source.cap}; expected 1 or more, or no cap"
        for source in sources
        if source.cap is not None and source.cap < 1
    ]
    names = [source.name for source in sources]
    return found + [f"two data sets are called {name}" for name in sorted({n for n in names if names.count(n) > 1})]


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"{key} is no key" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}")


def _typed(value: Any, kind: Any) -> Any:
    """The value as the annotated type; YAML's own mistakes (5e-5 is a string there) are put right."""
    if str(kind).startswith("tuple"):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError("expected a list")
        return tuple(str(each) for each in value)
    if "None" in str(kind):
        if value is None:
            return None
        kind = int if "int" in str(kind) else str
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise TypeError(f"expected {'true or false' if kind is bool else kind.__name__}")
    return value
