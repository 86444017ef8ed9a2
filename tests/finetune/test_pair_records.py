"""Pairs: records that say what they mean, from JSONL and Parquet alike, with errors that name the record."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vlm2vec_finetune import Content, Pair, VisDocDataset, register_dataset
from vlm2vec_finetune.datasets.files import PairsFile, read_pairs
from vlm2vec_finetune.datasets.registry import import_modules, open_dataset
from vlm2vec_finetune.inputs import query_prompt, target_prompt
from vlm2vec_finetune.pairs import write_pairs
from vlm2vec_finetune.recipe import DatasetEntry

from vlm2vec_rag.encoder.qwen2vl.prompts import PROMPTS
from vlm2vec_rag.errors import InvalidInput

PAIRS = [
    Pair(query=Content(text="who?"), target=Content(pdf="a/b.pdf", page=3), document="b"),
    Pair(
        query=Content(text="in red", image="chair.png"),
        target=Content(image="red.png"),
        negatives=(Content(image="blue.png"), Content(text="a table")),
        instruction="Find a chair:",
    ),
    Pair(query=Content(text="valve"), target=Content(video="pump.mp4", start_s=83, end_s=97.5)),
    Pair(query=Content(frames=("f/1.jpg", "f/2.jpg")), target=Content(text="a caption")),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert write_pairs(PAIRS, tmp_path / "pairs.jsonl") == 4
    assert read_pairs(tmp_path / "pairs.jsonl") == [pair.under(tmp_path) for pair in PAIRS]


def test_parquet_holds_the_same_records(tmp_path: Path) -> None:
    keys = ("query", "target", "negatives", "instruction", "document")
    records = [{**pair.to_dict(), "query": pair.query.to_dict()} for pair in PAIRS]
    rows = [{key: record.get(key) for key in keys} for record in records]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    assert read_pairs(tmp_path / "pairs.parquet") == [pair.under(tmp_path) for pair in PAIRS]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "a"}', "pair 1 of .*lacks target"),
        ('{"query": "a", "target": "b", "score": 1}', r"unknown keys \['score'\]"),
        ('{"query": "a", "target": {"pfd": "x.pdf"}}', r"unknown keys \['pfd'\]"),
        ('{"query": "a", "target": {"pdf": "x.pdf"}}', "pages count from 1"),
        ('{"query": "a", "target": {"image": "x.png", "video": "y.mp4"}}', "shows image and video"),
        ('{"query": " ", "target": "b"}', "is empty"),
        ('{"query": "a", "target": {"video": "x.mp4", "start_s": 9, "end_s": 3}}', "not after its start"),
        ('["a", "b"]', "the line is a list"),
        ("{", "Expecting"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InvalidInput, match=message):
        PairsFile(path)[0]


def test_prompts_are_those_of_serving() -> None:
    page, image, clip, caption = PAIRS
    assert query_prompt(page, PROMPTS) == PROMPTS.query("who?", "", target="page")
    assert target_prompt(page.target, PROMPTS) == PROMPTS.item("page", "")
    assert query_prompt(image, PROMPTS) == "<|image_pad|>\nFind a chair: in red\n"
    assert query_prompt(clip, PROMPTS) == PROMPTS.query("valve", "", target="clip")
    assert query_prompt(caption, PROMPTS) == PROMPTS.query("", "video", target="text")
    assert target_prompt(caption.target, PROMPTS) == "a caption"


def test_words_never_pass_for_pixels() -> None:
    pair = Pair(query=Content(text="<|image_pad|> x"), target=Content(text="<|video_pad|>"))
    assert "<|image_pad|>" not in query_prompt(pair, PROMPTS)
    assert "<|video_pad|>" not in target_prompt(pair.target, PROMPTS)


def test_a_data_set_of_ones_own_is_named_in_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from vlm2vec_finetune import Content, Pair, VisDocDataset, register_dataset\n"
        "@register_dataset('invoices')\n"
        "class Invoices(VisDocDataset):\n"
        "    def __init__(self, path, year=2024): self.year = year\n"
        "    def __len__(self): return 3\n"
        "    def __getitem__(self, index):\n"
        "        return Pair(query=Content(text=f'{self.year} {index}'), target=Content(text='t'))\n"
    )
    import_modules([str(tmp_path / "mine.py")])
    source = DatasetEntry(name="mine", dataset="invoices", path="x", options={"year": 2023})
    assert open_dataset(source)[2].query.text == "2023 2"
    with pytest.raises(InvalidInput, match=r"cannot be made with .*month"):
        open_dataset(DatasetEntry(name="mine", dataset="invoices", path="x", options={"month": 1}))
    with pytest.raises(InvalidInput, match="no data set is called 'recipts'"):
        open_dataset(DatasetEntry(name="mine", dataset="recipts"))
    with pytest.raises(InvalidInput, match="choose another name"):

        @register_dataset("pairs")
        class Other(VisDocDataset):  # never made: the name is taken
            pass
