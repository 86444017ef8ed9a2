"""What is written takes the old one's place whole, or not at all."""

import os
import stat

import pytest

from vlm2vec_rag.disk import replacing


def test_a_file_takes_the_old_ones_place_when_it_is_whole(tmp_path):
    target = tmp_path / "new folder" / "a.json"
    with replacing(target, sync=True) as part:
        part.write_text("one")
        assert not target.exists() and part.suffix == ".json"
    with pytest.raises(KeyboardInterrupt), replacing(target) as part:
        part.write_text("half of tw")
        raise KeyboardInterrupt
    assert target.read_text() == "one"
    assert [each.name for each in target.parent.iterdir()] == ["a.json"]


def test_a_folder_takes_the_old_ones_place_with_all_that_is_in_it(tmp_path):
    target = tmp_path / "step-1"
    for text in ("one", "two"):
        with replacing(target, sync=True) as part:
            (part / "inside").mkdir(parents=True)
            (part / "inside" / "state").write_text(text)
    with pytest.raises(ZeroDivisionError), replacing(target) as part:
        part.mkdir()
        _ = 1 / 0
    assert (target / "inside" / "state").read_text() == "two"
    assert [each.name for each in tmp_path.iterdir()] == ["step-1"]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_files_have_the_mode_that_the_user_asked_for_and_not_the_writers(tmp_path):
    before = os.umask(0o027)
    try:
        for target in (tmp_path / "weights", tmp_path / "folder"):
            with replacing(target) as part:
                file = part / "weights" if target.name == "folder" else part
                file.parent.mkdir(exist_ok=True)
                os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # as safetensors does
    finally:
        os.umask(before)
    for file in (tmp_path / "weights", tmp_path / "folder" / "weights"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
