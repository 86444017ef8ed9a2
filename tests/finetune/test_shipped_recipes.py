"""The recipes that ship: each is read, and names only what the commands make."""

from __future__ import annotations

from pathlib import Path

import pytest
from vlm2vec_finetune.datasets.public import SETS
from vlm2vec_finetune.recipe import load_recipe

from vlm2vec_rag.errors import InvalidInput

RECIPES = Path(__file__).parents[2] / "finetune" / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_read_and_says_how_it_is_launched(path: Path) -> None:
    load_recipe(path)
    head = path.read_text(encoding="utf-8").partition("model_name")[0]
    assert f"train finetune/recipes/{path.name}" in head
    assert "First:" in head


def test_the_papers_recipe_is_all_defaults_and_the_public_mix() -> None:
    recipe = load_recipe(RECIPES / "vlm2vec_v2_qwen2vl_2b.yaml")
    mix = {source.name: (source.weight, source.cap, Path(source.path).name) for source in recipe.datasets}
    assert mix == {each.name: (each.weight, each.cap, f"{each.name}.jsonl") for each in SETS}
    assert (recipe.batch_size, recipe.sub_batch_size, recipe.max_steps, recipe.lora_rank) == (1024, 64, 5000, 16)


def test_a_recipe_that_comes_along_is_found_by_its_name_and_one_on_disk_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("domain_lora_cpu.yaml", "finetune/recipes/domain_lora_cpu.yaml"):
        assert load_recipe(given) == load_recipe(RECIPES / "domain_lora_cpu.yaml")
    (tmp_path / "domain_lora_cpu.yaml").write_text("a list is no recipe", encoding="utf-8")
    with pytest.raises(InvalidInput, match="holds a str"):
        load_recipe("domain_lora_cpu.yaml")
    with pytest.raises(InvalidInput, match=r"domain_lora\.yaml.*those that come along are domain_lora_24gb\.yaml"):
        load_recipe("domain_lora.yaml")
