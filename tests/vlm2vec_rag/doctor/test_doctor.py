"""Each check of the doctor is ok where all is well, and says got, expected and the next step where it is not."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_qdrant import FakeCluster
from filelock import FileLock
from PIL import Image as PILImage
from points_and_places import FINGERPRINT, page

import vlm2vec_rag as vr
from vlm2vec_rag.cli import main
from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.collection.edge.shard import ROOM_BYTES
from vlm2vec_rag.doctor import Check, check_library, check_place, collection, golden, machine, verdict, worst
from vlm2vec_rag.doctor.golden import apart, read_golden, vectors_of
from vlm2vec_rag.encoder.load import find_model
from vlm2vec_rag.encoder.shared import shared_encoder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with two files and nano's collection of them."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(f"words of {name}")
    with vr.open(folder / "my.vlm2vec", "nano", device="cpu", dtype="float32") as library:
        assert library.index([folder / "a.txt", folder / "b.txt"]).indexed == 2
    return folder


@pytest.fixture
def place(built, tmp_path):
    """A copy of the collection, for one test to spoil."""
    return Path(shutil.copytree(built / "my.vlm2vec", tmp_path / "my.vlm2vec"))


def states(checks):
    return {check.name: check.state for check in checks}


def only(checks, name):
    [found] = [check for check in checks if check.name == name]
    return found


def test_the_verdict_is_the_gravest_state_and_names_what_is_wrong():
    fine, odd, bad = (
        Check(name=state, state=state, got="", expected="", next_step="") for state in ("ok", "warning", "fault")
    )
    assert (worst([fine]), worst([fine, odd]), worst([odd, bad])) == ("ok", "warning", "fault")
    assert verdict([fine]) == "all is well: 1 check"
    assert verdict([fine, odd]) == "it works, with 1 warning: warning"
    assert verdict([odd, bad]) == "1 fault: fault, and 1 warning"


def test_the_golden_vectors_are_of_the_packaged_weights_and_a_wrong_pixel_is_seen(monkeypatch):
    encoder = shared_encoder(model="nano", device="cpu", dtype="float32")
    stored = read_golden()
    # python tools/golden_vectors.py writes them anew, where nano was trained on
    assert stored.weights == find_model("nano").fingerprint().weights
    assert apart(stored.vectors, vectors_of(encoder)) < 1e-6
    assert machine.check_golden("cpu", "float32").state == "ok"
    red, green, blue = golden.golden_image().split()
    monkeypatch.setattr(golden, "golden_image", lambda: PILImage.merge("RGB", (blue, green, red)))
    wrong = machine.check_golden("cpu", "float32")
    assert wrong.state == "fault" and "at most 1e-05" in wrong.expected and "--dtype float32" in wrong.next_step


def test_a_model_that_does_not_run_is_a_fault_and_no_traceback(monkeypatch):
    def breaks(**_):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr("vlm2vec_rag.encoder.shared.shared_encoder", breaks)
    broken = machine.check_golden("cpu")
    assert broken.state == "fault" and "no kernel image" in broken.got and "pip install" in broken.next_step


def test_a_version_out_of_range_and_a_missing_package_are_named(monkeypatch):
    assert [check.state for check in machine.check_versions()] == ["ok"]
    wanted = ["numpy>=99,<100", "no-such-package>=1", "qdrant-client>=1; extra == 'other'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    _, *wrong = machine.check_versions()
    assert [(each.name, each.state) for each in wrong] == [
        ("version of numpy", "fault"),
        ("version of no-such-package", "fault"),
    ]
    assert wrong[0].got == np.__version__ and wrong[0].next_step == "pip install 'numpy<100,>=99'"


@pytest.mark.parametrize(("free", "state"), [(10e9, "ok"), (1e9, "warning"), (ROOM_BYTES - 1, "fault")])
def test_room_on_a_disk(tmp_path, monkeypatch, free, state):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(free)))
    check = machine.check_disk("files", tmp_path / "not" / "there" / "yet")
    assert check.state == state and bool(check.next_step) == (state != "ok")


def test_a_device_is_described_and_one_that_is_not_here_is_a_fault(monkeypatch):
    here = machine.check_device("cpu")
    assert here.state == "ok" and "cores" in here.got and "best in" in here.got
    assert machine.check_device("tpu").state == "fault"
    monkeypatch.setattr(machine, "_has_nvidia", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "does not see it" in machine.check_device().got


def test_a_collection_that_is_well(place):
    found = list(check_place(str(place)))
    assert set(states(found).values()) == {"ok"}, found
    assert only(found, "collection default").got == "2 items" and "it is here" in only(found, "model").got


def test_files_that_are_gone_or_not_whole_are_named(place, built):
    with open_collection(place) as opened:
        opened.set_payload(vr.Filter(paths=("**/b.txt",)), {"file_points": 7})
    (built / "a.txt").rename(built / "away")
    found = list(check_place(str(place)))
    (built / "away").rename(built / "a.txt")
    assert "b.txt" in only(found, "files").got and only(found, "files").state == "warning"
    gone = only(found, "files on disk")
    assert gone.state == "warning" and "a.txt" in gone.got and "--prune" in gone.next_step


def test_damage_a_missing_collection_and_a_lock_are_said(place, tmp_path):
    assert states(check_place(str(tmp_path / "other"))) == {"collection default": "fault"}
    with FileLock(place / ".lock"):  # as another process holds it
        [locked] = check_place(str(place))
    assert locked.state == "warning" and "is open in" in locked.got
    (place / "default" / "collection.json").write_text("{")
    [damaged] = check_place(str(place))
    assert damaged.state == "fault" and "restore it from a backup" in damaged.got


def test_a_model_that_moved_away_or_changed_is_a_fault(place):
    moved = {"model": str(place.parent / "gone"), "adapter": None}
    with open_collection(place) as opened:
        opened.update_settings({"encoder": moved})
    lost = only(list(check_place(str(place))), "model")
    assert lost.state == "fault" and "gone" in lost.got and "bm25" in lost.next_step


def test_many_points_outside_of_the_search_index_are_a_warning(place, monkeypatch):
    monkeypatch.setattr(collection, "SLOW_POINTS", 1)
    slow = only(list(check_place(str(place))), "search index")
    assert slow.state == "warning" and "0 of 2 items" in slow.got and "vlm2vec-rag index" in slow.next_step


def test_one_check_that_breaks_does_not_take_the_others_along(place, monkeypatch):
    def breaks(*_):
        raise RuntimeError("the engine is confused")

    monkeypatch.setattr(vr.Library, "sources", breaks)
    found = list(check_place(str(place)))
    assert only(found, "files").state == "fault" and only(found, "model").state == "ok"


def test_a_cluster_says_its_version_its_nodes_and_whether_copies_agree():
    with FakeCluster() as cluster:
        points = [page(number, file_hash="h", file_points=4) for number in range(4)]
        with open_collection(cluster.urls, fingerprint=FINGERPRINT) as opened:
            opened.upsert(points)
        with vr.open(cluster.urls, "none", create=False) as library:
            found = states(check_library(library))
            said = only(list(check_library(library)), "copies").got
    assert found["server"] == found["copies"] == "ok" and "3 nodes" in said
    # nothing says where the model of these vectors is
    assert found["model"] == "warning"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vlm2vec-rag", "doctor", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().out

    return run


def test_the_command_prints_a_verdict_and_its_status_is_that_of_faults(run, place):
    status, said = run("--device", "cpu", "--dtype", "float32", "-c", place)
    assert status == 0 and "all is well" in said.splitlines()[-1]
    status, said = run("--device", "cpu", "--dtype", "float32", "-c", place.parent / "no\x1bwhere", "--json")
    told = json.loads(said)
    assert status == 1 and told["state"] == "fault" and "\x1b" not in said
    assert {"name", "state", "got", "expected", "next_step"} == set(told["checks"][0])
    assert Path(machine.tempfile.gettempdir()).exists()
