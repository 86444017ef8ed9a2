"""What is known of a model before its weights are loaded: family, fingerprint, sight; and the table of known models."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import vlm2vec_rag as vr
from vlm2vec_rag.encoder.load import find_model, load_encoder
from vlm2vec_rag.encoder.locate import NANO_FOLDER
from vlm2vec_rag.encoder.names import DEFAULT_MODEL, NANO
from vlm2vec_rag.errors import InvalidInput, ModelNotFound


@pytest.mark.parametrize("settings", [{}, {"max_pixels": 28 * 28 * 100, "frames": 3}])
def test_the_fingerprint_is_the_loaded_encoders(tiny_base, tiny_adapter, settings):
    known = find_model(tiny_base, tiny_adapter).fingerprint(**settings)
    encoder = load_encoder(tiny_base, tiny_adapter, device="cpu", **settings)
    assert known == encoder.fingerprint and known.to_dict() == encoder.fingerprint.to_dict()


def test_no_weights_and_no_torch_are_loaded_for_it(tiny_base):
    code = (
        "import sys; from vlm2vec_rag.encoder.load import find_model; "
        f"print(find_model({str(tiny_base)!r}).fingerprint().digest); "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == find_model(tiny_base).fingerprint().digest


def test_what_a_model_sees_is_its_familys_or_less(tiny_base, tmp_path):
    assert find_model(NANO).sees == load_encoder(NANO, device="cpu").sees == {"print"}
    assert find_model(tiny_base).sees == {"print", "photographs", "video"}


def test_an_adapter_sees_what_its_base_sees(tmp_path, tiny_adapter):
    for path in tiny_adapter.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = NANO
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert find_model(tmp_path).sees == {"print"}


def test_the_table_says_of_nano_what_its_files_say():
    [row] = [each for each in vr.models() if each.name == NANO]
    with safe_open(NANO_FOLDER / "model.safetensors", framework="np") as file:
        parameters = sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118
    assert row.parameters == parameters
    assert row.sees == find_model(NANO).sees and row.dim == find_model(NANO).fingerprint().dim
    assert row.download_bytes == 0


def test_the_table_names_the_default_and_gives_every_column():
    rows = {each.name: each for each in vr.models()}
    assert DEFAULT_MODEL in rows and next(iter(rows)) == NANO
    for row in rows.values():
        assert row.licence and row.good_at and row.sees and row.dim > 0 and row.memory_bytes > 0
        assert row.mmeb_v2 is None or row.source


def a_folder(tmp_path, tiny_base, **config):
    """A copy of the tiny base whose config.json says something else."""
    folder = tmp_path / "folder"
    shutil.copytree(tiny_base, folder)
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))
    return folder


def test_a_folder_of_an_unknown_family_names_the_supported_ones(tmp_path, tiny_base):
    folder = a_folder(tmp_path, tiny_base, model_type="bert")
    with pytest.raises(InvalidInput, match=r"folder is a 'bert' model; supported are qwen2_vl \(VLM2Vec-V2"):
        find_model(folder)
    (folder / "modules.json").write_text("[]")
    with pytest.raises(InvalidInput, match="a sentence-transformers folder of a 'bert' model; supported are"):
        find_model(folder)


@pytest.mark.parametrize(
    "pooling", [None, {"pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": False}, {"pooling_mode": "cls"}]
)
def test_a_sentence_transformers_folder_that_pools_otherwise_is_refused(tmp_path, tiny_base, pooling):
    folder = a_folder(tmp_path, tiny_base)
    (folder / "modules.json").write_text("[]")
    if pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(InvalidInput, match=r"pools by (mean|cls); VLM2Vec-V2 .* pools by lasttoken"):
        find_model(folder)


def test_a_sentence_transformers_folder_that_pools_the_same_way_loads(tmp_path, tiny_base):
    folder = a_folder(tmp_path, tiny_base)
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling").mkdir()
    modes = {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    assert find_model(folder).fingerprint() == find_model(tiny_base).fingerprint()


def test_a_checkpoint_without_its_tokenizer_is_refused(tmp_path, tiny_base):
    folder = a_folder(tmp_path, tiny_base)
    for name in ("tokenizer.json", "vocab.json"):
        (folder / name).unlink()
    with pytest.raises(ModelNotFound, match=r"has no tokenizer \(tokenizer\.json\)"):
        find_model(folder)


def test_a_folder_of_something_else_says_what_is_in_it(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ModelNotFound, match=r"no config\.json but holiday\.jpg"):
        find_model(tmp_path)


def test_a_config_that_is_no_json_is_told(tmp_path, tiny_base):
    folder = a_folder(tmp_path, tiny_base)
    for text in ("{", "[]"):
        (folder / "config.json").write_text(text)
        with pytest.raises(ModelNotFound, match=r"config\.json is no JSON object"):
            find_model(folder)


def test_tensors_that_are_left_over_are_told(tmp_path, tiny_base):
    folder = a_folder(tmp_path, tiny_base)
    tensors = load_file(folder / "model.safetensors") | {"model.layers.9.extra": np.zeros(3, np.float32)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelNotFound, match=r"not understood \['.*layers\.9\.extra'\]"):
        load_encoder(folder, device="cpu")
