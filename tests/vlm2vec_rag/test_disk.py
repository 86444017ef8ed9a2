"""What is written takes the old one's place whole, or not at all."""

import errno
import os
import shutil
import stat
import subprocess

import numpy as np
import pytest
from PIL import Image as PILImage

from vlm2vec_rag.disk import is_full, replacing
from vlm2vec_rag.errors import DiskFull, UnreadableMedia


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


@pytest.fixture
def full_disk(tmp_path):
    """A disk of 100 kB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "small", str(folder)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_whoever_writes_a_full_disk_is_told_and_nothing_is_half_written(full_disk):
    def as_bytes(part):
        part.write_bytes(bytes(300_000))

    def as_image(part):  # which has an error without the system's number
        PILImage.effect_noise((900, 900), 90).save(part, "JPEG", quality=95)

    def as_array(part):
        with part.open("wb") as file:
            np.save(file, np.zeros(100_000))

    (full_disk / "kept.jpg").write_bytes(b"as it was")
    for write in (as_bytes, as_image, as_array):
        said = pytest.raises(DiskFull, match=r"no room on the disk of .* to write kept.jpg; nothing is half written")
        with said, replacing(full_disk / "kept.jpg") as part:
            write(part)
        assert [each.read_bytes() for each in full_disk.iterdir()] == [b"as it was"]


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match="a bad sector"), replacing(tmp_path / "a") as part:
        part.write_text("x")
        raise OSError("a bad sector")
    assert is_full(OSError(errno.EDQUOT, "quota"), tmp_path) and is_full(DiskFull("x"), tmp_path)
    assert not is_full(UnreadableMedia("No space left between the lines"), tmp_path)
