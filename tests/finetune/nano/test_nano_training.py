"""Two processes train as one would, and a run that was stopped goes on from where it was."""

from pathlib import Path

import pytest
import torch
from optimiser import MasterWeights, learning_rate_share
from parallel import ParallelTraining, RunSettings
from torch import nn

TARGET = torch.tensor([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])


def fit(path: Path, processes: int, minutes: float) -> tuple[float, int]:
    """Bring a matrix near TARGET for some time; its distance, and the steps of all sittings."""
    torch.manual_seed(0)
    matrix = nn.Parameter(torch.zeros(2, 3, dtype=torch.bfloat16))
    run = RunSettings(path=path, minutes=minutes, processes=processes, micro_batches=2, figures=("loss",))

    def worker(seed: int):
        def backward():
            loss = (matrix.float() - TARGET).square().sum()
            loss.backward()
            return [loss.item()]

        return backward

    team = ParallelTraining(run, MasterWeights([("blocks.0.weight", matrix)], 0.05))
    team.train(worker, lambda: "", lambda: {"matrix": matrix.detach().clone()})
    return float((matrix.detach().float() - TARGET).abs().max()), team.step


@pytest.mark.parametrize("processes", [1, 2])
def test_training_reaches_the_target(tmp_path, processes):
    distance, _ = fit(tmp_path / "run.pt", processes, 0.05)
    assert distance < 0.1


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    _, steps = fit(tmp_path / "run.pt", 1, 0.01)
    _, later = fit(tmp_path / "run.pt", 1, 0.02)
    assert later > steps
    assert torch.load(tmp_path / "run.pt", weights_only=True)["step"] == later


@pytest.mark.parametrize("matrix_rate", [0.0, 0.01], ids=["AdamW", "Muon"])
def test_masters_keep_updates_that_bfloat16_would_lose(matrix_rate):
    matrix = nn.Parameter(torch.full((4, 4), 100.0, dtype=torch.bfloat16))
    masters = MasterWeights([("blocks.0.weight", matrix)], rate=0.01, matrix_rate=matrix_rate)
    for _ in range(200):  # each step is far below 0.5, the spacing of bfloat16 at 100
        masters.step(1.0, [torch.eye(4)])
    assert matrix.diagonal().float().max() < 100


def test_the_learning_rate_rises_then_falls():
    shares = [learning_rate_share(each / 100) for each in range(101)]
    assert shares[0] == 0
    assert max(shares) == pytest.approx(1, abs=0.01)
    assert shares[-1] == pytest.approx(0.05)
    assert shares.index(max(shares)) <= 3
