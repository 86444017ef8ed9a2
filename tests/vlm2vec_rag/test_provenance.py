"""A collection says by name which model it was built with."""

import pytest

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.fingerprint import Fingerprint
from vlm2vec_rag.provenance import record_model, recorded_model


def test_a_recorded_model_is_there_when_the_collection_is_opened_again(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    fingerprint = Fingerprint(model="m", dim=3)
    with open_collection(tmp_path / "here", fingerprint=fingerprint) as collection:
        collection.update_settings({"other": 1})
        record_model(collection, "model", "owner/adapter")
    with open_collection(tmp_path / "here") as collection:
        assert recorded_model(collection) == (str(tmp_path / "model"), "owner/adapter")
        assert collection.settings["other"] == 1


@pytest.mark.parametrize(("dim", "message"), [(3, "does not say where its model 'm' is"), (0, "holds words only")])
def test_what_is_not_recorded_is_said(dim, message):
    with (
        open_collection(fingerprint=Fingerprint(model="m", dim=dim)) as collection,
        pytest.raises(InvalidInput, match=message),
    ):
        recorded_model(collection)
