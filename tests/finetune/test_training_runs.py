"""Whole runs of the trainer: learning, stopping and resuming, ranks, broken pairs, a loss that is no number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from vlm2vec_finetune import Recipe, train
from vlm2vec_finetune.checkpoints import checkpoints
from vlm2vec_finetune.trainer import learning_rate
from vlm2vec_finetune.watch import StepReport

from vlm2vec_rag.encoder.adapter import WEIGHTS
from vlm2vec_rag.errors import AdapterMismatch, InvalidInput, UnreadableMedia, VlmRagError


class Recorder:
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []
        self.scores: list[tuple[int, float]] = []

    def started(self, recipe: Recipe, done: int) -> None: ...

    def stepped(self, report: StepReport) -> None:
        self.reports.append(report)

    def evaluated(self, step: int, scores: Any) -> None:
        self.scores.append((step, scores.interval("ndcg@5").mean))

    def ended(self) -> None: ...


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def assert_same_bits(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], each) for name, each in expected.items())


def test_a_tiny_adapter_learns_its_pairs(make_recipe: Callable[..., Recipe], pairs_file: Path) -> None:
    watch = Recorder()
    recipe = make_recipe(batch_size=36, max_steps=16, chunk_size=36, learning_rate=3e-3, held_out=str(pairs_file))
    outcome = train(recipe, watches=[watch])
    assert outcome.is_finished
    (first, before), (last, after) = watch.scores
    assert (first, last) == (0, 16)
    assert before < 0.15 and after > 0.4


def test_stopped_anywhere_and_resumed_ends_in_the_same_bits(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    straight = train(make_recipe(output_dir=str(tmp_path / "straight"), max_steps=5))
    recipe = make_recipe(output_dir=str(tmp_path / "halting"), max_steps=5, save_steps=100)
    for stop_at in (1, 3):
        outcome = train(recipe, stop_at=stop_at)
        assert (outcome.step, outcome.is_finished) == (stop_at, False)
    # how inputs are read, or cut into chunks of the same size, is free to change
    halting = train(make_recipe(output_dir=recipe.output_dir, max_steps=5, workers=0))
    assert_same_bits(weights(halting.folder), weights(straight.folder))
    lines = [json.loads(line) for line in (tmp_path / "halting" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]


def test_a_full_model_resumes_to_the_same_bits_and_is_served(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    from vlm2vec_rag import load_encoder

    straight = train(make_recipe(output_dir=str(tmp_path / "a"), mode="full", max_steps=3))
    recipe = make_recipe(output_dir=str(tmp_path / "b"), mode="full", max_steps=3)
    train(recipe, stop_at=2)
    resumed = train(recipe)
    expected = load_file(straight.folder / "model.safetensors")
    assert_same_bits(load_file(resumed.folder / "model.safetensors"), expected)
    assert load_encoder(resumed.folder, device="cpu", dtype="float32").encode_queries(["red cat"]).shape == (1, 64)


@pytest.mark.slow
def test_two_ranks_take_the_step_of_one(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    values: dict[str, Any] = {"negatives_per_query": 1, "mask_duplicates": True, "both_directions": True}
    one = train(make_recipe(output_dir=str(tmp_path / "one"), max_steps=2, **values))
    recipe = make_recipe(output_dir=str(tmp_path / "two"), max_steps=2, **values)
    file = tmp_path / "recipe.yaml"
    plain = recipe.model_dump(mode="json", exclude={"datasets"})
    source = recipe.datasets[0]
    file.write_text(yaml.safe_dump({**plain, "datasets": [{"name": source.name, "path": source.path}]}))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    command += ["--rdzv-endpoint=localhost:0", "-m", "vlm2vec_finetune", "train", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = weights(tmp_path / "two" / "adapter")
    for name, expected in weights(one.folder).items():
        torch.testing.assert_close(two[name], expected, atol=1e-5, rtol=0)


def test_an_unfinished_checkpoint_is_never_taken_for_one(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(save_steps=1, keep_checkpoints=2)
    train(recipe, stop_at=3)
    found = checkpoints(Path(recipe.output_dir))
    assert [each.name for each in found] == ["checkpoint-00000002", "checkpoint-00000003"]
    (found[-1] / "trainer" / "state.json").unlink()  # as if it had been cut off
    watch = Recorder()
    train(recipe, watches=[watch])
    assert [report.step for report in watch.reports] == [3, 4]


def test_a_finished_run_is_left_as_it_is(make_recipe: Callable[..., Recipe], pairs_file: Path) -> None:
    recipe = make_recipe(max_steps=2, held_out=str(pairs_file))
    first = train(recipe)
    watch = Recorder()
    assert train(recipe, watches=[watch]) == first
    assert not watch.scores


def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(make_recipe: Callable[..., Recipe]) -> None:
    class Interrupting(Recorder):
        def stepped(self, report: StepReport) -> None:
            if report.step == 2:
                signal.raise_signal(signal.SIGTERM)

    recipe = make_recipe()
    before = signal.getsignal(signal.SIGTERM)
    outcome = train(recipe, watches=[Interrupting()])
    assert (outcome.step, outcome.is_finished, outcome.folder.name) == (2, False, "checkpoint-00000002")
    assert signal.getsignal(signal.SIGTERM) is before
    assert train(recipe).is_finished


def test_bf16_keeps_the_adapter_in_float32_and_learns_the_same(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    losses = {}
    for precision in ("bf16", "float32"):
        watch = Recorder()
        recipe = make_recipe(precision=precision, output_dir=str(tmp_path / precision), gradient_checkpointing=True)
        outcome = train(recipe, watches=[watch])
        assert {each.dtype for each in weights(outcome.folder).values()} == {torch.float32}
        losses[precision] = [report.loss for report in watch.reports]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.1)


def test_another_recipe_does_not_resume(make_recipe: Callable[..., Recipe]) -> None:
    train(make_recipe(), stop_at=1)
    with pytest.raises(AdapterMismatch, match=r"temperature was 0.02 and is 0.05.*--restart"):
        train(make_recipe(temperature=0.05))
    assert train(make_recipe(temperature=0.05), restart=True).is_finished


def broken_pairs(folder: Path, good: int, bad: int) -> Path:
    lines = [{"query": f"question {at}", "target": {"text": f"answer {at}"}} for at in range(good)]
    lines += [{"query": f"lost {at}", "target": {"image": f"missing{at}.png"}} for at in range(bad)]
    path = folder / "broken.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\nnot json\n")
    return path


def test_broken_pairs_are_skipped_counted_and_reported(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    path = broken_pairs(tmp_path, good=13, bad=2)
    watch = Recorder()
    recipe = make_recipe(datasets=[{"path": str(path)}], max_bad_pairs=3)
    assert train(recipe, watches=[watch]).is_finished
    assert watch.reports[-1].bad_pairs == 3
    assert sum(report.inputs for report in watch.reports) == 2 * (4 * 8 - 6)  # two epochs of 16, three of each broken
    told = [json.loads(line) for line in (Path(recipe.output_dir) / "bad_pairs.jsonl").read_text().splitlines()]
    assert sorted(line["index"] for line in told) == [13, 14, 15]
    assert any("missing0.png" in line["reason"] for line in told)


def test_too_many_broken_pairs_stop_the_run(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    path = broken_pairs(tmp_path, good=8, bad=7)
    with pytest.raises(UnreadableMedia, match=r"more than max_bad_pairs 2: .*bad_pairs.jsonl"):
        train(make_recipe(datasets=[{"path": str(path)}], max_bad_pairs=2))


def test_a_loss_that_is_no_number_stops_with_what_happened(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(save_steps=1)
    train(recipe, stop_at=2)
    before = weights(checkpoints(Path(recipe.output_dir))[-1])
    monkeypatch.setattr("vlm2vec_finetune.trainer.info_nce", lambda queries, *_, **__: queries.sum() * float("nan"))
    with pytest.raises(VlmRagError, match=r"loss of step 3 .*8 of words.*checkpoint-00000002"):
        train(recipe)
    assert_same_bits(weights(checkpoints(Path(recipe.output_dir))[-1]), before)


def test_a_batch_that_does_not_divide_among_ranks_is_refused(make_recipe: Callable[..., Recipe]) -> None:
    from vlm2vec_finetune.ranks import Ranks
    from vlm2vec_finetune.trainer import _Run
    from vlm2vec_finetune.visuals import Visuals

    with pytest.raises(InvalidInput, match="batch_size 8 does not divide among 3 ranks"):
        _Run(make_recipe(), Ranks(0, 3, torch.device("cpu")), Visuals(max_pixels=10_000, frames=2), ())


def test_the_rate_rises_over_the_warm_up_and_falls_to_the_end(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(learning_rate=1.0, warmup_steps=4, max_steps=10)
    rates = [round(learning_rate(step, recipe), 4) for step in range(10)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 0.8333, 0.6667, 0.5, 0.3333, 0.1667]
