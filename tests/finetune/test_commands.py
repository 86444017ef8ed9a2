"""The commands as a stranger types them, with wrong inputs too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from vlm2vec_finetune import Recipe
from vlm2vec_finetune.cli import main
from vlm2vec_finetune.datasets.files import read_pairs

from vlm2vec_rag import samples


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command; gives its exit status and all it said."""

    def run_command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["vlm2vec-finetune", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run_command


def test_a_recipe_becomes_an_adapter_with_curves(
    run: Callable[..., tuple[int, str]], make_recipe: Callable[..., Recipe], pairs_file: Path, tmp_path: Path
) -> None:
    recipe = make_recipe()
    path = tmp_path / "recipe.yaml"
    values = {name: getattr(recipe, name) for name in ("model_name", "output_dir", "batch_size", "sub_batch_size")}
    values |= {"max_steps": 4, "warmup_steps": 1, "precision": "float32", "device": "cpu"}
    path.write_text(yaml.safe_dump({**values, "datasets": [{"path": str(pairs_file)}]}))
    status, said = run("train", str(path), "--stop-at", "2")
    assert status == 0 and "stopped after step 2" in said
    status, said = run("train", str(path))
    assert status == 0 and "step 3: loss" in said and "step 2: loss" not in said
    folder = Path(recipe.output_dir)
    assert "nothing was held out" in said and "serve it with" not in said
    with Image.open(folder / "loss.png") as image:
        assert image.width > 500
    assert list((folder / "tensorboard").glob("events.*"))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"batch_size": 36, "max_steps": 16, "chunk_size": 36, "learning_rate": 3e-3}, "better: NDCG@5 on 144"),
        ({"learning_rate": 1e-9}, "not better: NDCG@5 on 144 held-out questions changed by"),
    ],
    ids=["learns", "learns nothing"],
)
def test_training_ends_with_the_verdict_of_its_held_out_score(
    run: Callable[..., tuple[int, str]],
    make_recipe: Callable[..., Recipe],
    *,
    pairs_file: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    verdict: str,
) -> None:
    recipe = make_recipe(held_out=str(pairs_file), **changes)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert run("train", str(path), "--stop-at", "2")[0] == 0
    for _ in range(2):  # with the score of an earlier sitting, and once more when all is done
        status, said = run("train", str(path))
        assert status == 0 and f"\n{verdict}" in said
        advice = f"serve it with `vlm2vec-rag index … --adapter {recipe.output_dir}"
        assert (advice in said) is verdict.startswith("better")


def test_pairs_of_real_files_are_split_by_document(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    files = [str(samples.folder() / f"{name}.pdf") for name in ("hcl-colors", "latexsheet")]
    status, said = run(
        "pairs", *files, "--out", str(tmp_path), "-m", "sentences", "-m", "crops", "--pages-per-document", "2"
    )
    assert status == 0, said
    train, held_out = read_pairs(tmp_path / "train.jsonl"), read_pairs(tmp_path / "held_out.jsonl")
    assert {pair.group for pair in train}.isdisjoint(pair.group for pair in held_out)
    assert {pair.query.kind for pair in train + held_out} == {"text", "image"}
    assert all(Path(pair.query.image).is_file() for pair in train + held_out if pair.query.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "missing.yaml"), "cannot read the recipe missing.yaml"),
        (("pairs", "--out", "x"), "give files and folders, or --collection"),
        (("pairs", "nowhere", "--out", "x"), "nowhere"),
        (("evaluate", "nowhere", "--held-out", "x.jsonl"), "holds no adapter"),
        (("mine", "nowhere.jsonl", "--out", "x.jsonl"), "there is no pairs file nowhere.jsonl"),
        (("merge", "nowhere", "x"), "holds no adapter"),
        (("download", "imagenet"), "no public set is called 'imagenet'"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_one_line(
    run: Callable[..., tuple[int, str]],
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = run(*arguments)
    assert status == 1
    assert message in said and "Traceback" not in said
