"""The public training sets: miniature files in the hub's own layout become pairs with the training prompts."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from vlm2vec_finetune.datasets.download import download
from vlm2vec_finetune.datasets.files import read_pairs
from vlm2vec_finetune.datasets.public import SETS, choose_frames, public_set
from vlm2vec_finetune.inputs import query_prompt, target_prompt

from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.errors import InvalidInput, UnreadableMedia


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 30), colour).save(file, "png")
    return file.getvalue()


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_mmeb_rows_keep_their_instructions(tmp_path: Path) -> None:
    hub, data = tmp_path / "hub", tmp_path / "data"
    rows = [
        {
            "qry": "<|image_1|>\nFind a caption: \n", "qry_image_path": "images/A/1.png",
            "pos_text": "a <|video_pad|> cat", "pos_image_path": "", "neg_text": "a dog", "neg_image_path": "",
        },
        {
            "qry": "Find an image: a cat\n", "qry_image_path": "", "pos_text": "<|image_1|>\nRepresent it.\n",
            "pos_image_path": "images/A/2.png", "neg_text": None, "neg_image_path": None,
        },
        {"qry": "", "qry_image_path": "", "pos_text": "x", "pos_image_path": "", "neg_text": "", "neg_image_path": ""},
    ]  # fmt: skip
    write_parquet(hub / "A-OKVQA" / "original-00000-of-00001.parquet", rows)
    (hub / "images_zip").mkdir()
    with zipfile.ZipFile(hub / "images_zip" / "A-OKVQA.zip", "w") as zipped:
        for number, colour in ((1, "red"), (2, "blue")):
            zipped.writestr(f"images/A/{number}.png", png(colour))
    pairs = read_pairs(download(public_set("mmeb-A-OKVQA"), data, mirror=hub))
    assert len(pairs) == 2
    assert query_prompt(pairs[0], PROMPTS) == "<|image_pad|>\nFind a caption: \n"
    assert Path(pairs[0].query.image).is_file()
    assert target_prompt(pairs[0].target, PROMPTS) == "a < |video_pad|> cat"  # words never pass for pixels
    assert [each.prompt for each in pairs[0].negatives] == ["a dog"]
    assert target_prompt(pairs[1].target, PROMPTS) == "<|image_pad|>\nRepresent it.\n"
    assert pairs[1].target.kind == "image" and pairs[1].query.kind == "text"


def test_colpali_is_asked_about_a_shown_page(tmp_path: Path) -> None:
    image = {"bytes": png("green"), "path": "page.png"}
    row = {"image": image, "query": "what colour?", "answer": "green", "source": "x", "page": "1"}
    write_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", [row, {**row, "answer": ""}])
    (pair,) = read_pairs(download(public_set("colpali"), tmp_path / "data", mirror=tmp_path / "hub"))
    assert query_prompt(pair, PROMPTS) == "<|image_pad|> what colour?"
    assert target_prompt(pair.target, PROMPTS) == "green"
    with Image.open(pair.query.image) as image:
        assert image.getpixel((3, 3)) == (0, 128, 0)


def test_visrag_shows_its_page_last(tmp_path: Path) -> None:
    rows = [
        {"query": "which plot?", "image": {"bytes": png("red"), "path": None}, "source": "PlotQA"},
        {"query": "what else?", "image": {"bytes": png("red"), "path": None}, "source": "Unheard of"},
    ]
    write_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", rows)
    first, second = read_pairs(download(public_set("visrag"), tmp_path / "data", mirror=tmp_path / "hub"))
    asked = query_prompt(first, PROMPTS)
    assert asked.startswith("This query relates to retrieving a relevant plot or chart that visually")
    assert asked.endswith("insights related to the query:  which plot? ")
    assert (
        target_prompt(first.target, PROMPTS)
        == "A numerical data visualization, such as bar charts or line graphs.  <|image_pad|>"
    )
    assert query_prompt(second, PROMPTS) == "what else? "
    assert first.target.image == second.target.image  # the same image is kept once


def hound(tmp_path: Path) -> Path:
    hub = tmp_path / "hub"
    (hub / "train_300k").mkdir(parents=True)
    with tarfile.open(hub / "train_300k" / "chunk_0.tar.gz", "w:gz") as tarred:
        for number in range(1, 13):
            data = png("red")
            member = tarfile.TarInfo(f"v1/c01_{number}.jpeg")
            member.size = len(data)
            tarred.addfile(member, io.BytesIO(data))
    folder = hub / "video_instruction" / "train" / "sft"
    folder.mkdir(parents=True)
    talk = [{"from": "human", "value": "<video>\nDescribe it."}, {"from": "gpt", "value": "A red wall."}]
    lines = [{"id": "1", "video": "v1", "conversations": talk}, {"id": "2", "video": "lost", "conversations": talk}]
    for name in ("video_caption_300k.jsonl", "video_240k_caption_15k.jsonl"):
        (folder / name).write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return hub


def test_llavahound_is_read_in_three_ways(tmp_path: Path) -> None:
    hub = hound(tmp_path)
    prompts = {}
    for name in ("caption", "retrieval", "qa"):
        (pair,) = read_pairs(download(public_set(f"llavahound-{name}"), tmp_path / "data", mirror=hub))
        prompts[name] = (query_prompt(pair, PROMPTS), target_prompt(pair.target, PROMPTS))
        frames = pair.query.frames or pair.target.frames
        assert [Path(frame).stem for frame in frames] == [f"c01_{n}" for n in (1, 2, 4, 5, 7, 8, 10, 12)]
    assert prompts == {
        "caption": ("<|video_pad|>\nDescribe it.", "A red wall."),
        "retrieval": (
            "Find a video that contains the following visual content: A red wall.",
            "Understand the content of the provided video: <|video_pad|>",
        ),
        "qa": ("Answer a question based on the content of a video. <|video_pad|>\nDescribe it.", "A red wall."),
    }


def test_a_short_video_gives_all_its_frames(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        (tmp_path / f"c01_{number}.jpeg").touch()
    assert choose_frames(tmp_path, tmp_path) == ("c01_1.jpeg", "c01_2.jpeg", "c01_10.jpeg")


def test_caps_and_missing_files_are_said(tmp_path: Path) -> None:
    rows = [{"query": f"q{n}", "image": {"bytes": png("red"), "path": None}, "source": "PlotQA"} for n in range(5)]
    write_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", rows)
    assert len(read_pairs(download(public_set("visrag"), tmp_path / "data", mirror=tmp_path / "hub", cap=2))) == 2
    with pytest.raises(UnreadableMedia, match=r"has no images_zip/CIRR\.zip"):
        download(public_set("mmeb-CIRR"), tmp_path / "data", mirror=tmp_path / "hub")
    with pytest.raises(UnreadableMedia, match=r"has no train-\*\.parquet"):
        download(public_set("colpali"), tmp_path / "data", mirror=tmp_path / "empty")
    with pytest.raises(InvalidInput, match="no public set is called 'colpaly'"):
        public_set("colpaly")


def test_the_weights_are_those_of_the_papers_mix() -> None:
    weights = {each.name: each.weight for each in SETS}
    assert sum(weights.values()) == 52
    assert sum(weight for name, weight in weights.items() if name.startswith("mmeb-")) == 15
