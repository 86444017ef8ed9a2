"""The drill of examples/cluster runs against the recorded answers of three nodes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_qdrant import FakeCluster

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "cluster"))

import drill


def test_the_drill_finds_a_cluster_well(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeCluster() as cluster:
        steps = {"stop": lambda: cluster.kill(2), "start": lambda: cluster.revive(2)}
        asked = [cluster.urls, "--stop", "stop", "--start", "start", "--points", "200"]
        assert drill.main(asked, run=lambda command: steps[command]()) == 0
        assert cluster.store.creations == {}
    said = capsys.readouterr().out
    for line in (
        "made: 1 shard(s), 2 copies", "all copies have the same 100 points", "200 acknowledged in all, 200 counted",
        "all copies have the same 200 points, after", "moved from node", "still 200 points", "0 failed",
    ):  # fmt: skip
        assert line in said


def test_the_drill_tells_copies_that_stay_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "LONGEST_S", 0.0)
    with FakeCluster() as cluster:

        def lose() -> None:
            for shard in cluster.cluster.collections["drill"].copies.values():
                shard[0].ids = set(list(shard[0].ids)[:10])

        steps = {"stop": lambda: cluster.kill(2), "start": lambda: (cluster.revive(2), lose())}
        asked = [cluster.urls, "--stop", "stop", "--start", "start", "--points", "200"]
        assert drill.main(asked, run=lambda command: steps[command]()) == 1
    assert "FAILED: after 0 s still: copies differ" in capsys.readouterr().out
