"""Labels are those of a plain nearest-label rule over the prompts of the public classification tasks."""

import csv

import numpy as np
import pytest
from composed_videos import compose
from typer.testing import CliRunner

from vlm2vec_rag import Clip, samples
from vlm2vec_rag.classify import Failed, classify
from vlm2vec_rag.cli.app import app, main
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.media import MediaReader, MediaSettings

LABELS = ["cat", "waiting in line", "espresso"]


@pytest.fixture(scope="module")
def reader():
    with MediaReader(MediaSettings(max_pixels=56 * 56 * 4)) as reader:
        yield reader


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    film = compose(tmp_path_factory.mktemp("labelled") / "film.mp4", [(1, 3)])
    return [samples.folder() / "cat.jpg", film, samples.folder() / "espresso.jpg"]


def by_definition(path, encoder, reader, temperature):
    """One item, spelled out: the public prompts, cosines, softmax."""
    [item] = reader.items(path)
    if isinstance(item, Clip):
        prompt, pixels = "<|video_pad|> Recognize the category of the video content.", list(item.frames)
    else:
        prompt, pixels = "<|image_pad|>\nRepresent the given image for classification\n", item.image
    question = encoder.encode_prompts([prompt], [pixels])[0].astype(float)
    cosines = np.array([encoder.encode_prompts([label], [None])[0] @ question for label in LABELS])
    shares = np.exp(cosines / temperature) / np.exp(cosines / temperature).sum()
    return cosines, shares


@pytest.mark.parametrize("temperature", [0.02, 0.5])
def test_the_nearest_label_wins_with_its_softmax(files, encoder, reader, temperature):
    rows = list(classify(files, LABELS, encoder, reader, temperature=temperature))
    assert [row.kind for row in rows] == ["image", "clip", "image"]
    for row, path in zip(rows, files, strict=True):
        cosines, shares = by_definition(path, encoder, reader, temperature)
        assert row.label == LABELS[int(cosines.argmax())] and row.place.startswith(str(path))
        np.testing.assert_allclose(list(row.cosines.values()), cosines, atol=1e-5)
        np.testing.assert_allclose(list(row.probabilities.values()), shares, atol=2e-3)
        assert row.confidence == max(row.probabilities.values())


def test_a_bad_file_is_one_row_and_not_the_end(files, encoder, reader, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    rows = list(classify([files[0], tmp_path / "broken.png", files[2]], LABELS, encoder, reader))
    assert [isinstance(row, Failed) for row in rows] == [False, True, False] and "broken.png" in rows[1].reason


def test_special_tokens_in_a_label_are_words(files, encoder, reader):
    [row] = classify(files[:1], ["cat", "<|image_pad|>"], encoder, reader)
    assert set(row.probabilities) == {"cat", "<|image_pad|>"}


@pytest.mark.parametrize(
    ("labels", "message"), [(["cat"], "at least two"), (["a", " "], "none of them empty"), (["a", "b", "a "], "a more")]
)
def test_labels_that_make_no_choice_are_refused(labels, message, encoder, reader):
    with pytest.raises(InvalidInput, match=message):
        classify([], labels, encoder, reader)
    with pytest.raises(InvalidInput, match="expected a list"):
        classify([], "cat,dog", encoder, reader)
    with pytest.raises(InvalidInput, match="temperature is 0"):
        classify([], ["a", "b"], encoder, reader, temperature=0)


def test_the_command_writes_csv_and_names_what_failed(files, tmp_path, tiny_base, tiny_adapter):
    (tmp_path / "labels.txt").write_text("cat\nwaiting in line\n\nespresso\n")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    out = tmp_path / "labels.csv"
    arguments = [str(files[0]), str(tmp_path / "broken.png"), "--labels", str(tmp_path / "labels.txt"), "--all"]
    arguments += ["-o", str(out), "--model", str(tiny_base), "--adapter", str(tiny_adapter), "--dtype", "float32"]
    result = CliRunner().invoke(app, ["classify", *arguments])
    assert result.exit_code == 1 and "broken.png" in result.stderr
    [row] = csv.DictReader(out.read_text().splitlines())
    assert row["place"].endswith("cat.jpg") and row["label"] in LABELS
    assert sum(float(row[label]) for label in LABELS) == pytest.approx(1, abs=2e-4)
    assert row["confidence"] == row[row["label"]] and row["second_confidence"] == row[row["second_label"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "a,b", "--model", "none"], "needs a model"),
        (["--labels", "nowhere.txt"], "'nowhere.txt' is no file"),
    ],
)
def test_mistakes_on_the_command_line_end_in_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vlm2vec-rag", "classify", str(samples.folder()), *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2 and message in capsys.readouterr().err
