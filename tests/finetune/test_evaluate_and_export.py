"""Before and after on held-out pairs, and an export that refuses what is not better."""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from vlm2vec_finetune import Content, Pair, Recipe, train
from vlm2vec_finetune.cli import main
from vlm2vec_finetune.evaluate import Comparison, compare, encode_with
from vlm2vec_finetune.export import export_adapter, merge
from vlm2vec_finetune.pairs import write_pairs
from vlm2vec_finetune.passages import pages_of_documents
from vlm2vec_finetune.scoring import Scores, chance, score, trial_of

import vlm2vec_rag as vr
from vlm2vec_rag import load_encoder, samples
from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.errors import AdapterMismatch, InvalidInput, ModelNotFound
from vlm2vec_rag.media import MediaReader


def pair(query: str, target: str) -> Pair:
    return Pair(query=Content(text=query), target=Content(text=target))


def test_a_question_of_two_targets_has_both_as_answers() -> None:
    trial = trial_of([pair("q", "a"), pair("q", "b"), pair("r", "a")], PROMPTS, more_candidates=[Content(text="c")])
    assert len(trial.queries) == 2
    assert [content.text for _, content in trial.candidates] == ["a", "b", "c"]
    assert trial.answers == (frozenset({0, 1}), frozenset({0}))


def test_scores_are_those_of_a_ranking_done_by_hand() -> None:
    trial = trial_of([pair("q", "a"), pair("r", "b")], PROMPTS, more_candidates=[Content(text="c")])
    candidates = np.eye(3, dtype=np.float32)
    queries = np.array([[0.9, 0.1, 0.3], [0.5, 0.4, 0.3]], dtype=np.float32)  # first right, second on place two
    values = score(trial, queries, candidates).values
    assert values["hit@1"] == [1, 0]
    assert values["mrr"] == [1, 0.5]
    assert values["ndcg@5"] == pytest.approx([1, 1 / np.log2(3)])
    assert values["recall@10"] == [1, 1]


@pytest.mark.parametrize("n_right", [1, 2, 3])
def test_chance_is_the_mean_over_all_orders(n_right: int) -> None:
    pairs = [pair("q", "abc"[number]) for number in range(n_right)]
    trial = trial_of(pairs, PROMPTS, [Content(text=text) for text in "defgh"[: 7 - n_right]])
    count = len(trial.candidates)
    sums = dict.fromkeys(("ndcg@5", "hit@1", "recall@10", "mrr"), 0.0)
    orders = list(itertools.permutations(range(count)))
    candidates = np.eye(count, dtype=np.float32)
    for order in orders:
        for metric, values in score(trial, np.array([order], dtype=np.float32), candidates).values.items():
            sums[metric] += values[0]
    assert chance(trial) == pytest.approx({metric: total / len(orders) for metric, total in sums.items()})


def test_recall_at_10_of_a_dozen_candidates_is_mostly_chance() -> None:
    trial = trial_of([pair("q", "a")], PROMPTS, [Content(text=str(number)) for number in range(11)])
    assert chance(trial)["recall@10"] == pytest.approx(10 / 12)


def test_all_pages_of_the_held_out_documents_are_candidates() -> None:
    path = str(samples.folder() / "reportlab-charts.pdf")
    targets = [
        Content(pdf=path, page=2),
        Content(text="words"),
        Content(pdf=path, page=1),
        Content(pdf="gone.pdf", page=1),
    ]
    with MediaReader() as reader:
        pages = pages_of_documents(targets, reader)
        assert [each.page for each in pages] == list(range(1, (reader.probe(path).pages or 0) + 1))
    trial = trial_of([Pair(query=Content(text="q"), target=targets[0])], PROMPTS, pages)
    assert len(trial.candidates) == len(pages) > 2


def comparison(before: list[float], after: list[float]) -> Comparison:
    def scores(values: list[float]) -> Scores:
        return Scores(dict.fromkeys(("ndcg@5", "hit@1", "recall@10", "mrr"), values))

    facts = {"model": "base", "questions": len(before), "candidates": 9, "held_out": "h", "held_out_sha256": "0" * 64,
             "chance": dict.fromkeys(("ndcg@5", "hit@1", "recall@10", "mrr"), 0.05)}  # fmt: skip
    return Comparison(scores(before), scores(after), facts)


def test_better_means_that_the_whole_interval_lies_above_zero() -> None:
    assert comparison([0.1] * 40, [0.2] * 40).is_better
    assert not comparison([0.5] * 40, [0.5] * 40).is_better
    assert not comparison([0.0, 1.0] * 20, [1.0, 0.1] * 20).is_better  # better on the mean, by chance


def test_export_writes_a_card_with_the_numbers(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    adapter = train(make_recipe()).folder
    folder = export_adapter(adapter, tmp_path / "shipped", comparison([0.1] * 40, [0.25] * 40))
    card = (folder / "README.md").read_text()
    assert "# shipped" in card
    assert "| NDCG@5 | 5.0 | 10.0 [10.0, 10.0] | 25.0 [25.0, 25.0] | 15.0 [15.0, 15.0] |" in card
    assert json.loads((folder / "evaluation.json").read_text())["is_better"] is True
    assert load_encoder(folder, device="cpu", dtype="float32").dim == 64
    with pytest.raises(InvalidInput, match="is not empty"):
        export_adapter(adapter, folder, comparison([0.1] * 40, [0.25] * 40))


def test_export_refuses_what_is_not_better_unless_told(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    adapter = train(make_recipe()).folder
    worse = comparison([0.3] * 40, [0.2] * 40)
    with pytest.raises(AdapterMismatch, match=r"not better than base: NDCG@5 changes by -10.0 .*--even-if-worse"):
        export_adapter(adapter, tmp_path / "worse", worse)
    assert not (tmp_path / "worse").exists()
    card = (export_adapter(adapter, tmp_path / "worse", worse, even_if_worse=True) / "README.md").read_text()
    assert "**Not better**" in card


def test_merged_vectors_are_the_adapters(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    adapter = train(make_recipe()).folder
    merged = load_encoder(merge(adapter, tmp_path / "whole"), device="cpu", dtype="float32")
    expected = load_encoder(adapter, device="cpu", dtype="float32")
    texts = ["red cat", "a stone"]
    np.testing.assert_allclose(merged.encode_items(texts), expected.encode_items(texts), atol=1e-6)
    assert merged.fingerprint.adapter == "" and merged.fingerprint != expected.fingerprint


def test_an_adapter_is_served_with_the_settings_it_was_trained_with(
    make_recipe: Callable[..., Recipe], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = train(make_recipe(max_pixels=16 * 784, frames=3)).folder
    shipped = export_adapter(adapter, tmp_path / "shipped", comparison([0.1] * 40, [0.25] * 40))
    for folder in (adapter, shipped, merge(adapter, tmp_path / "whole")):
        encoder = load_encoder(folder, device="cpu", dtype="float32")
        assert (encoder.max_pixels, encoder.frames) == (16 * 784, 3), folder
    with vr.open(tmp_path / "new.vlm2vec", model=str(shipped), device="cpu", dtype="float32") as library:
        assert (library.fingerprint.max_pixels, library.fingerprint.frames) == (16 * 784, 3)
    assert not [each for each in caplog.records if "trained with" in each.message]
    other = load_encoder(adapter, device="cpu", dtype="float32", max_pixels=64 * 784)
    assert other.max_pixels == 64 * 784
    assert f"loaded with max_pixels {64 * 784} (trained with {16 * 784})" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_all_that_training_writes_has_the_mode_that_the_umask_gives(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        merge(train(make_recipe()).folder, tmp_path / "whole")
    finally:
        os.umask(before)
    files = [each for folder in ("run", "whole") for each in (tmp_path / folder).rglob("*") if each.is_file()]
    assert {"adapter_model.safetensors", "optimizer.safetensors", "model.safetensors"} <= {each.name for each in files}
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o640}


def test_an_adapter_on_another_base_or_with_other_instructions_is_warned_of(
    make_recipe: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    adapter = train(make_recipe()).folder
    path = adapter / "trained_with.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "prompts": "0" * 16, "base_weights": "1" * 16}))
    load_encoder(adapter, device="cpu", dtype="float32")
    assert "the instructions" in caplog.text and "the base weights" in caplog.text
    path.write_text("[]x")
    with pytest.raises(ModelNotFound, match=r"trained_with.json is no JSON object"):
        load_encoder(adapter, device="cpu", dtype="float32")


def test_reindexing_with_an_adapter_takes_the_budget_it_was_trained_with(
    make_recipe: Callable[..., Recipe], tmp_path: Path, tiny_base: Path
) -> None:
    adapter = train(make_recipe(max_pixels=16 * 784, frames=3)).folder
    (tmp_path / "note.txt").write_text("The red cat sat on a stone.")
    place, on = tmp_path / "my.vlm2vec", {"device": "cpu", "dtype": "float32"}
    with vr.open(place, model=str(tiny_base), **on) as library:
        library.index(tmp_path / "note.txt")
        library.reindex(adapter=str(adapter))
    with vr.open(place, **on) as library:
        assert (library.fingerprint.max_pixels, library.fingerprint.frames) == (16 * 784, 3)


def test_a_file_that_cannot_be_read_ranks_last_and_is_told(tmp_path: Path, tiny_base: Path) -> None:
    pairs = [pair("red", "red"), Pair(query=Content(text="lost"), target=Content(image=str(tmp_path / "lost.png")))]
    write_pairs(pairs, tmp_path / "held_out.jsonl")
    encoder = load_encoder(tiny_base, device="cpu", dtype="float32")
    from vlm2vec_finetune.visuals import Visuals

    bad: list[str] = []
    with Visuals(max_pixels=50_000, frames=2) as visuals:
        encode = encode_with(encoder, visuals, bad=bad)
        trial = trial_of(pairs, PROMPTS)
        got = compare(encode, encode, trial, held_out=tmp_path / "held_out.jsonl", names=("m", "a"), bad=bad)
    assert got.facts["unreadable"] == 1 and "lost.png" in bad[0]
    assert got.after.values["mrr"] == [1.0, 0.5]


def test_the_commands_take_an_adapter_from_pairs_to_a_shipped_folder(
    make_recipe: Callable[..., Recipe], tmp_path: Path, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(batch_size=36, max_steps=16, chunk_size=36, learning_rate=3e-3)
    train(recipe)

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["vlm2vec-finetune", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    on = ("--device", "cpu", "--dtype", "float32")
    run_folder, out = recipe.output_dir, tmp_path / "numbers.json"
    assert run("evaluate", run_folder, "--held-out", str(pairs_file), "--out", str(out), *on) == 0
    numbers = json.loads(out.read_text())
    assert numbers["metrics"]["ndcg@5"]["gain"][1] > 0
    assert run("export", run_folder, str(tmp_path / "shipped"), "--held-out", str(pairs_file), *on) == 0
    assert run("merge", run_folder, str(tmp_path / "merged")) == 0
    mined = tmp_path / "mined.jsonl"
    assert run("mine", str(pairs_file), "--out", str(mined), "--model", f"{run_folder}/adapter", *on) == 0
    assert sum(len(json.loads(line).get("negatives", [])) for line in mined.read_text().splitlines()) > 144
    assert run("export", str(tmp_path), str(tmp_path / "x"), "--held-out", str(pairs_file)) == 1
