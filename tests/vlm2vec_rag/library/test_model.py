"""A collection says by name which model it was built with."""

import pytest

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.library.model import ModelName, require_name


def test_a_recorded_model_is_there_when_the_collection_is_opened_again(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    fingerprint = Fingerprint(model="m", dim=3)
    with open_collection(tmp_path / "here", fingerprint=fingerprint) as collection:
        collection.update_settings({"other": 1})
        ModelName.of("model", "owner/adapter", "main").record(collection)
    with open_collection(tmp_path / "here") as collection:
        assert require_name(collection) == ModelName(
            model=str(tmp_path / "model"), adapter="owner/adapter", revision="main"
        )
        assert collection.settings["other"] == 1


@pytest.mark.parametrize(("dim", "message"), [(3, "does not say where its model 'm' is"), (0, "holds words only")])
def test_what_is_not_recorded_is_said(dim, message):
    with (
        open_collection(fingerprint=Fingerprint(model="m", dim=dim)) as collection,
        pytest.raises(InvalidInput, match=message),
    ):
        require_name(collection)
