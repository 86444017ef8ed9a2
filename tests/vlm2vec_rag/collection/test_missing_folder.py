"""Asking for a collection that is not there makes nothing."""

import pytest

from vlm2vec_rag.collection import open_collection
from vlm2vec_rag.errors import CollectionNotFound
from vlm2vec_rag.fingerprint import Fingerprint


@pytest.mark.parametrize("options", [{}, {"fingerprint": Fingerprint(model="m", dim=3), "create": False}])
def test_a_folder_that_is_not_there_is_named_and_not_made(tmp_path, options):
    folder = tmp_path / "nope"
    with pytest.raises(CollectionNotFound, match=f"no collection 'default' at {folder} .there is no such folder"):
        open_collection(folder, **options)
    assert not folder.exists()
