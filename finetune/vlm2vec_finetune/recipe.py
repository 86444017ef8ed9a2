"""A recipe: every setting of a training run, read from YAML and checked as a whole by pydantic.

Defaults are the paper's (VLM2Vec-V2, arXiv:2507.04590; `train_v2-qwen2vl-2B.sh` at 6e1e1d4). All that is wrong with a
recipe is said at once: a check of settings that contradict each other belongs to the later of them, and runs with
those before it that were right.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.extras import require
from vlm2vec_rag.pixels import MAX_PIXELS, MIN_PIXELS

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")  # linear layers of the LLM
_SHIPPED = tuple(folder / "recipes" for folder in Path(__file__).parents[:2])  # in a wheel, and in the repository
LORA_KEYS = ("lora_rank", "lora_alpha", "lora_dropout", "use_dora", "lora_target_modules")
# settings that change neither the batches nor the weights, so a run may be resumed with others
FREE_KEYS = (
    "output_dir", "workers", "save_steps", "keep_checkpoints", "log_steps", "evaluate_steps", "held_out", "chunk_size",
    "gradient_checkpointing", "max_bad_pairs", "vision_cache", "device", "modules",
)  # fmt: skip


def _meant_number(value: Any) -> Any:
    """YAML's own mistake put right: 5e-5, without a dot, is a string there."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _meant_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number = Annotated[float, BeforeValidator(_meant_number)]
Whole = Annotated[int, BeforeValidator(_meant_whole)]
Names = Annotated[tuple[str, ...], Strict(False)]  # YAML has lists


class _Checked(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False, protected_namespaces=()
    )


class DatasetEntry(_Checked):
    """One data set of the mix. Keys that are no fields become options, for a reader of your own."""

    dataset: str = "pairs"  # which reader: `pairs`, or a name of your own (see `register_dataset`)
    path: str = ""  # a pairs file
    name: str = ""  # how reports call it; the file's name by default
    weight: Number = 1.0  # share of the sub-batches, on any scale
    cap: Annotated[Whole, Field(ge=1)] | None = None  # only the first so many pairs
    options: dict[str, Any] = {}  # pydantic copies defaults

    @model_validator(mode="before")
    @classmethod
    def _keep_options(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        known = {key: value for key, value in given.items() if key in cls.model_fields}
        others = {str(key): value for key, value in given.items() if key not in cls.model_fields}
        return {**known, "options": {**known.get("options", {}), **others}} if others else known

    @field_validator("path", "name", "weight", "options")
    @classmethod
    def _makes_sense(cls, value: Any, info: ValidationInfo) -> Any:
        is_pairs = info.data.get("dataset") == "pairs"
        match info.field_name:
            case "path" if is_pairs and not value:
                raise ValueError("no path; give the pairs file")
            case "name":
                return value or Path(info.data.get("path") or info.data.get("dataset", "")).stem
            case "weight" if not value > 0:
                raise ValueError(f"weight is {value}; expected more than 0, or leave the data set out")
            case "options" if is_pairs and value:
                raise ValueError("; ".join(_unknown(key, list(cls.model_fields)) for key in value))
        return value


class Recipe(_Checked):
    """Every setting of a run. Keys of the YAML are these names."""

    model_name: str  # hub id or folder: a base model, or an adapter to go on training
    output_dir: str
    datasets: Annotated[tuple[Annotated[DatasetEntry, Strict(False)], ...], Strict(False)]
    modules: Names = ()  # Python files that register data sets of your own

    mode: Literal["lora", "full"] = "lora"  # full: every weight
    lora_rank: Whole = Field(16, ge=1)
    lora_alpha: Whole = Field(64, ge=1)
    lora_dropout: Number = Field(0.1, ge=0, lt=1)
    use_dora: bool = True
    lora_target_modules: Names = ("q_proj", "k_proj", "v_proj", "o_proj", "down_proj")
    freeze_vision: bool = True

    batch_size: Whole = Field(1024, ge=2)  # pairs of a step, over all ranks
    sub_batch_size: Whole = Field(64, ge=1)  # pairs in a row from one source
    chunk_size: Whole = Field(8, ge=1)  # inputs of one forward pass: less memory, same result
    max_steps: Whole = Field(5000, ge=1)
    learning_rate: Number = Field(5e-5, gt=0)
    warmup_steps: Whole = Field(100, ge=0)
    weight_decay: Number = Field(0.0, ge=0)
    max_grad_norm: Number = Field(1.0, gt=0)
    precision: Literal["bf16", "float32"] = "bf16"
    gradient_checkpointing: bool = False  # a third more time for much less memory
    seed: Whole = Field(42, ge=0)

    temperature: Number = Field(0.02, gt=0)
    both_directions: bool = False
    negatives_per_query: Whole = Field(0, ge=0)  # explicit hard negatives taken from each pair
    mask_duplicates: bool = False  # the same content twice in a batch is not a negative

    max_pixels: Whole = Field(MAX_PIXELS, ge=MIN_PIXELS)  # of one image, page or frame
    frames: Whole = Field(8, ge=1)  # of a clip
    max_tokens: Whole = Field(4096, ge=1)  # where text without pixels is cut
    workers: Whole = Field(4, ge=0)  # threads that read ahead; no influence on the batches
    max_bad_pairs: Whole = Field(100, ge=0)  # unreadable pairs are skipped up to here, then the run stops
    vision_cache: str | None = None  # folder to keep the frozen vision tower's states across steps

    save_steps: Whole = Field(50, ge=1)
    keep_checkpoints: Whole = Field(3, ge=1)
    log_steps: Whole = Field(1, ge=1)
    held_out: str | None = None  # pairs file to evaluate on while training
    evaluate_steps: Whole = Field(0, ge=0)  # 0 evaluates only before and after
    device: str | None = None  # None takes the best there is

    @field_validator(
        "datasets", "lora_target_modules", "freeze_vision", "sub_batch_size", "warmup_steps", "vision_cache",
        "evaluate_steps",
    )  # fmt: skip
    @classmethod
    def _makes_sense(cls, value: Any, info: ValidationInfo) -> Any:
        """A setting by itself and beside those before it; one of those that was wrong is not here, and was said."""
        before = info.data
        match info.field_name:
            case "datasets" if not value:
                raise ValueError("datasets is empty; give at least one")
            case "datasets":
                names = [each.name for each in value]
                if twice := sorted({name for name in names if names.count(name) > 1}):
                    raise ValueError("; ".join(f"two data sets are called {name}" for name in twice))
            case "lora_target_modules" if others := [each for each in value if each not in MODULES]:
                known = ", ".join(MODULES)
                raise ValueError(f"lora_target_modules has {', '.join(others)}; the language model has {known}")
            case "lora_target_modules" if not value:
                raise ValueError("lora_target_modules is empty; nothing would be trained")
            case "freeze_vision" if not value and before.get("mode") == "lora":
                raise ValueError("freeze_vision: false needs mode: full; an adapter changes the language model only")
            case "sub_batch_size" if before.get("batch_size", value) % value:
                raise ValueError(f"sub_batch_size {value} does not divide batch_size {before['batch_size']}")
            case "warmup_steps" if value >= before.get("max_steps", value + 1):
                raise ValueError(f"warmup_steps {value} leaves nothing of max_steps {before['max_steps']}")
            case "vision_cache" if value is not None and not before.get("freeze_vision", True):
                raise ValueError("vision_cache keeps states of a frozen vision tower, and freeze_vision is false")
            case "evaluate_steps" if value > 0 and not before.get("held_out", "said"):
                raise ValueError("evaluate_steps is set, and there is no held_out to evaluate on")
        return value

    @property
    def digest(self) -> str:
        """Sixteen digits over all that decides the weights: batches, model, loss and schedule."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()[:16]

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the weights, as JSON."""
        values = self.model_dump(mode="json", exclude=set(FREE_KEYS))
        for entry in values["datasets"]:
            entry["path"] = Path(entry["path"]).name
        return values


def load_recipe(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe; its paths are taken from where the command runs.

    Args:
        path: A YAML file; one that is not there, by its name among the recipes that come with the package.
        overrides: Values that replace those of the file.

    Raises:
        InvalidInput: The file is not readable as a recipe; the message names every key that is wrong.
        MissingExtra: PyYAML is not installed.
    """
    yaml = require("yaml", "finetune")
    path = Path(path)
    shipped = {each.name: each for folder in _SHIPPED for each in sorted(folder.glob("*.yaml"))}
    path = path if path.exists() else shipped.get(path.name, path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        known = "" if path.exists() else f"; those that come along are {', '.join(shipped)}"
        raise InvalidInput(f"cannot read the recipe {path}: {error}{known}") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{path} holds a {type(values).__name__}; expected `key: value` lines, see finetune/recipes")
    return recipe_from({**values, **(overrides or {})}, name=str(path))


def recipe_from(values: Mapping[str, Any], *, name: str = "the recipe") -> Recipe:
    """A recipe from plain values, all of them checked before any is complained about.

    Raises:
        InvalidInput: Names every unknown, missing, mistyped and contradictory key.
    """
    problems = []
    if values.get("mode") == "full" and (asked := [key for key in LORA_KEYS if key in values]):
        problems.append(f"mode: full trains every weight, so {', '.join(asked)} contradict it; remove them or the mode")
    try:
        recipe = Recipe.model_validate({str(key): value for key, value in values.items()})
    except ValidationError as error:
        problems += [_said(each) for each in error.errors()]
    if problems:
        raise InvalidInput(f"{name} has {len(problems)} problems:\n" + "\n".join(f"  - {each}" for each in problems))
    return recipe


_BOUNDS = {"ge": "{:g} or more", "gt": "more than {:g}", "lt": "less than {:g}"}
_KINDS = {
    "bool_type": "true or false", "int_type": "int", "float_type": "float", "string_type": "str",
    "tuple_type": "a list", "finite_number": "a number that is finite", "dict_type": "`key: value` lines",
}  # fmt: skip


def _said(error: ErrorDetails) -> str:
    """What pydantic found, in the words of a recipe."""
    kind, given, limits = error["type"], error["input"], error.get("ctx", {})
    where, key = "", str(error["loc"][0])
    if key == "datasets" and len(error["loc"]) > 1:
        where, key = f"datasets entry {int(error['loc'][1]) + 1}", str(error["loc"][-1])
    match kind:
        case "value_error":
            told = str(limits["error"])
        case "missing":
            told = f"{key} is missing"
        case "extra_forbidden":
            told = _unknown(key, list(Recipe.model_fields))
        case "model_type":
            return f"{where} is {given!r}; expected `name`, `path`, `weight` and `cap`"
        case "tuple_type" if key == "datasets":
            told = "datasets is no list; write one `- name: …` with `path`, `weight` and `cap` for each"
        case "greater_than_equal" | "greater_than" | "less_than":
            ((bound, at),) = limits.items()
            told = f"{key} is {given}; expected {_BOUNDS[bound].format(at)}"
        case "literal_error":
            told = f"{key} is {given!r}; expected {limits['expected']}"
        case _:
            told = f"{key} is {given!r}: expected {_KINDS.get(kind, error['msg'])}"
    return f"{where}: {told}" if where else told


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"{key} is no key" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}")
