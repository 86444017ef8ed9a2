"""Which model is taken when none is named: what is on disk and fits, else what a GPU and a hub allow, else nano."""

import json

import pytest
import torch
from typer.testing import CliRunner

from vlm2vec_rag.cli.app import app
from vlm2vec_rag.encoder import auto, device
from vlm2vec_rag.encoder.auto import choose_model
from vlm2vec_rag.encoder.locate import is_on_disk
from vlm2vec_rag.encoder.models import models
from vlm2vec_rag.encoder.names import DEFAULT_MODEL, GEMMA, NANO
from vlm2vec_rag.terminal import size_of

QWEN_2B, QWEN_8B = "Qwen/Qwen3-VL-Embedding-2B", "Qwen/Qwen3-VL-Embedding-8B"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub's cache; what it gives puts a model there as the hub's client would."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    def put(name, files):
        snapshot = tmp_path / f"models--{name.replace('/', '--')}" / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
        for file, text in files.items():
            (snapshot / file).write_text(text)

    return put


WHOLE = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": ""}


def machine(monkeypatch, *, gpu=False, gigabytes=64):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(device, "memory_bytes", lambda _: int(gigabytes * 1e9))


@pytest.mark.parametrize(
    ("here", "gpu", "gigabytes", "taken"),
    [
        ((), False, 64, NANO),
        ((GEMMA,), False, 64, GEMMA),
        ((QWEN_2B,), False, 64, QWEN_2B),  # slow on a CPU, but all there is
        ((QWEN_2B, GEMMA), False, 64, GEMMA),  # quick on a CPU
        ((QWEN_2B, GEMMA), True, 64, QWEN_2B),
        ((QWEN_2B, QWEN_8B), True, 80, QWEN_8B),
        ((QWEN_2B, QWEN_8B), True, 16, QWEN_2B),  # the 8 B model does not fit
        ((QWEN_2B,), False, 4, NANO),
    ],
)
def test_the_best_that_is_on_disk_and_fits_is_taken(hub, monkeypatch, *, here, gpu, gigabytes, taken):
    machine(monkeypatch, gpu=gpu, gigabytes=gigabytes)
    for name in here:
        hub(name, WHOLE)
    assert choose_model()[0] == taken


def test_with_a_gpu_and_a_hub_the_reference_is_downloaded(hub, monkeypatch):
    from huggingface_hub import constants

    machine(monkeypatch, gpu=True)
    assert choose_model()[0] == NANO  # offline
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    model, reason = choose_model()
    assert model == DEFAULT_MODEL and "to be downloaded once (4.42 GB)" in reason


def test_nano_is_taken_with_one_line_that_names_the_laptops_model(hub, monkeypatch):
    machine(monkeypatch)
    model, reason = choose_model()
    assert model == NANO and "\n" not in reason
    assert f"--model {GEMMA} (a download of 1.49 GB" in reason and "--model none" in reason


@pytest.mark.parametrize("missing", WHOLE)
def test_a_download_that_was_cut_off_is_not_on_disk(hub, missing):
    hub(GEMMA, {name: text for name, text in WHOLE.items() if name != missing})
    assert not is_on_disk(GEMMA)


def test_every_part_of_a_large_model_must_be_there(hub, tmp_path):
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    files = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors.index.json": index}
    hub(QWEN_2B, files | {"model-1.safetensors": ""})
    assert not is_on_disk(QWEN_2B)
    hub(QWEN_8B, files | {"model-1.safetensors": "", "model-2.safetensors": ""})
    assert is_on_disk(QWEN_8B)


def test_an_adapter_is_on_disk_when_its_base_is(hub):
    hub(DEFAULT_MODEL, {"adapter_config.json": '{"base_model_name_or_path": "a/b"}', "adapter_model.safetensors": ""})
    assert not is_on_disk(DEFAULT_MODEL)
    hub("a/b", WHOLE)
    assert is_on_disk(DEFAULT_MODEL)


def test_the_models_command_prints_every_model_and_which_is_taken(hub, monkeypatch):
    machine(monkeypatch)
    ran = CliRunner().invoke(app, ["models"])
    assert ran.exit_code == 0, ran.output
    for each in models():
        assert each.name in ran.output and each.good_at in ran.output
    assert f"taken where none is named: {NANO}" in ran.output
    assert "github.com/QwenLM/Qwen3-VL-Embedding" in ran.output  # where the scores are from


def test_the_models_command_gives_json(hub):
    ran = CliRunner().invoke(app, ["models", "--json"])
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["name"] for row in rows] == [each.name for each in models()]
    assert all(row["seconds_per_page"] > 0 for row in rows)
    assert [row["is_on_disk"] for row in rows] == [True] + [False] * (len(rows) - 1)


def test_a_larger_model_is_estimated_to_take_longer():
    by_size = sorted(models(), key=lambda each: each.parameters)
    assert by_size[0].name == NANO and by_size[0].page_flops < by_size[1].page_flops < by_size[-1].page_flops


def test_sizes_are_written_to_three_figures():
    assert [size_of(each) for each in (1_490_000_000, 46_121_472, 1_500)] == ["1.49 GB", "46.1 MB", "1.5 kB"]


def test_nothing_is_measured_or_loaded_to_choose_among_nothing(hub, monkeypatch):
    monkeypatch.setattr(auto, "_has_gpu_and_hub", lambda: False)
    monkeypatch.setattr(device, "choose_device", lambda *_: pytest.fail("torch was asked"))
    assert choose_model()[0] == NANO
