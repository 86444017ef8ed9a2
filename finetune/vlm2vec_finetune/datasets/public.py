"""The public training sets of VLM2Vec-V2: what a row says, with the very prompts the model was trained with.

A row of the hub becomes a pair of ours; images inside a row are written to files. Prompts differ from those of
serving and are given whole (`prompt`), as the public parsers make them.
Source: `src/data/dataset/{mmeb,vidore,visrag,llavahound_caption,llavahound_qa}_dataset.py` at 6e1e1d4.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_rag.disk import replacing
from vlm2vec_rag.encoder.qwen2vl.prompts import IMAGE_TOKEN, VIDEO_TOKEN, plain
from vlm2vec_rag.errors import InvalidInput

Row: TypeAlias = Mapping[str, Any]
Parser: TypeAlias = Callable[[Row, Path], Pair | None]  # None for a row that is empty or lacks its file

FRAMES = 8
# subset of MMEB-train -> (rows used, weight), as experiments/public/train/train_alltasks.yaml has them
MMEB: dict[str, tuple[int, float]] = {
    "ImageNet_1K": (100_000, 1), "N24News": (50_000, 1), "HatefulMemes": (10_000, 0.5), "VOC2007": (10_000, 0.5),
    "SUN397": (20_000, 0.5), "OK-VQA": (10_000, 0.5), "A-OKVQA": (20_000, 0.5), "DocVQA": (40_000, 1),
    "InfographicsVQA": (25_000, 0.5), "ChartQA": (28_000, 0.5), "Visual7W": (70_000, 1), "VisDial": (130_000, 1),
    "CIRR": (30_000, 0.5), "VisualNews_t2i": (100_000, 1), "VisualNews_i2t": (100_000, 1), "MSCOCO_t2i": (100_000, 1),
    "MSCOCO_i2t": (120_000, 1), "NIGHTS": (20_000, 0.5), "WebQA": (20_000, 0.5), "MSCOCO": (100_000, 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSet:
    """One set on the hub."""

    name: str
    repo: str
    config: str | None  # of the hub's data set; the folder of its files
    split: str
    parse: Parser
    cap: int | None  # rows the paper's mix uses
    weight: float  # in the paper's mix
    rows: str = ""  # a JSONL file, where rows are not in Parquet
    archives: str = ""  # pattern of the archives that hold its images
    unpack_into: str = ""


def public_set(name: str) -> PublicSet:
    """The set of that name.

    Raises:
        InvalidInput: There is none; the message lists all.
    """
    for each in SETS:
        if each.name == name:
            return each
    raise InvalidInput(f"no public set is called {name!r}; there are {', '.join(each.name for each in SETS)}, and mmeb")


def pairs_of(rows: Iterable[Row], parse: Parser, folder: Path, cap: int | None = None) -> Iterator[Pair]:
    """Pairs of rows, at most `cap`; images inside rows are written below `folder`, those beside them lie there."""
    count = 0
    for row in rows:
        if cap is not None and count >= cap:
            return
        pair = parse(row, folder)
        if pair is not None:
            count += 1
            yield pair


def parse_mmeb(row: Row, folder: Path) -> Pair | None:
    """MMEB-train: texts hold the instruction and `<|image_1|>`; images are paths below the unpacked archives."""
    query = _mmeb_side(row["qry"], row["qry_image_path"])
    target = _mmeb_side(row["pos_text"], row["pos_image_path"])
    negative = _mmeb_side(row.get("neg_text"), row.get("neg_image_path"))
    if query is None or target is None:
        return None
    return Pair(query=query, target=target, negatives=(negative,) if negative else ())


def parse_colpali(row: Row, folder: Path) -> Pair | None:
    """colpali_train_set, used as questions about a shown page whose answer is a text."""
    if not (row["query"] and row["answer"]):
        return None
    image = _write_image(row["image"], folder)
    query = Content(image=image, prompt=f"{IMAGE_TOKEN} {plain(row['query'])}")
    return Pair(query=query, target=Content(text=row["answer"], prompt=plain(row["answer"])), document=image)


def parse_visrag(row: Row, folder: Path) -> Pair | None:
    """VisRAG in-domain: a question with a long description of its source, and the page; the image token comes last."""
    if not row["query"]:
        return None
    asked, shown = VISRAG_PROMPTS.get(row["source"], ("", ""))
    image = _write_image(row["image"], folder)
    # two spaces and one at the end: the public parser joins prompt, query and an empty token with spaces
    query = Content(prompt=f"{asked} {plain(row['query'])} " if asked else f"{plain(row['query'])} ")
    target = Content(image=image, prompt=f"{shown}  {IMAGE_TOKEN}" if shown else f" {IMAGE_TOKEN}")
    return Pair(query=query, target=target, document=image)


def parse_llavahound_caption(row: Row, folder: Path) -> Pair | None:
    """LLaVA-Hound captions: the request with the video, and the caption."""
    return _llavahound(row, folder, lead="")


def parse_llavahound_qa(row: Row, folder: Path) -> Pair | None:
    """LLaVA-Hound questions: the question with the video, and the answer."""
    return _llavahound(row, folder, lead="Answer a question based on the content of a video. ")


def parse_llavahound_retrieval(row: Row, folder: Path) -> Pair | None:
    """LLaVA-Hound captions the other way round: find the video; the video token comes last."""
    frames = choose_frames(folder / "train_300k" / row["video"], folder)
    if not frames:
        return None
    caption = plain(row["conversations"][1]["value"])
    query = Content(prompt=f"Find a video that contains the following visual content: {caption}")
    target = Content(frames=frames, prompt=f"Understand the content of the provided video: {VIDEO_TOKEN}")
    return Pair(query=query, target=target, document=row["video"])


def choose_frames(video: Path, folder: Path, count: int = FRAMES) -> tuple[str, ...]:
    """Evenly spread frames of a folder, in natural order; all of them where there are fewer.

    The public code takes as many resolutions as it wants frames, and fails on a video with fewer.
    """
    found = sorted(video.glob("*.jp*g"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.stem)])
    if not found:
        return ()
    chosen = np.linspace(0, len(found) - 1, min(count, len(found)), dtype=int)
    return tuple(found[at].relative_to(folder).as_posix() for at in chosen)


def _mmeb_side(text: str | None, path: str | None) -> Content | None:
    if not text and not path:
        return None
    # the rows' own token is put back after every other one has been broken
    parts = [plain(part) for part in (text or "").split("<|image_1|>")]
    prompt = IMAGE_TOKEN.join(parts)
    if path and len(parts) == 1:  # a few targets show an image and say nothing
        prompt = f"{IMAGE_TOKEN}\n{prompt}" if prompt else IMAGE_TOKEN
    return Content(image=f"image/{path}" if path else "", prompt=prompt)


def _llavahound(row: Row, folder: Path, lead: str) -> Pair | None:
    frames = choose_frames(folder / "train_300k" / row["video"], folder)
    asked, answer = (turn["value"] for turn in row["conversations"][:2])
    parts = [plain(part) for part in asked.split("<video>")]
    if not frames or len(parts) != 2:
        return None
    query = Content(frames=frames, prompt=lead + VIDEO_TOKEN.join(parts))
    return Pair(query=query, target=Content(prompt=plain(answer)), document=row["video"])


def _write_image(image: Mapping[str, Any], folder: Path) -> str:
    """Write a row's image under the digest of its bytes; the same image is written once."""
    data: bytes = image["bytes"]
    suffix = Path(image.get("path") or "").suffix.lower() or (".png" if data[:4] == b"\x89PNG" else ".jpg")
    name = hashlib.sha256(data).hexdigest()[:32]
    path = folder / "images" / name[:2] / f"{name}{suffix}"
    if not path.exists():
        with replacing(path) as part:
            part.write_bytes(data)
    return path.relative_to(folder).as_posix()


# source -> (what a question begins with, what a page is said to be); both end as they do in the public code
VISRAG_PROMPTS: dict[str, tuple[str, str]] = {
    "NeurIPS Papers": (
        "This query is about a research paper from NeurIPS, a leading AI/ML conference. The document contains "
        "technical discussions, methodologies, and findings. Identify relevant papers and sections that address "
        "the query: ",
        "A research paper from NeurIPS on AI and ML topics.",
    ),
    "Textbooks": (
        "This query is related to a college-level textbook, which provides structured explanations, definitions, and "
        "examples. Find the most relevant concepts or explanations that address the query: ",
        "A textbook page with structured educational content and explanations.",
    ),
    "ICML Papers": (
        "This query is about a research paper from ICML, a leading AI/ML conference. The document contains theoretical "
        "insights, experiments, and applications. Identify relevant papers and sections that best answer the query: ",
        "A research paper from ICML, covering machine learning topics.",
    ),
    "Manuallib": (
        "This query pertains to a product manual, which contains detailed technical specifications, usage "
        "instructions, and troubleshooting steps. Find the most relevant section that answers the query: ",
        "A product manual page with technical specifications and instructions.",
    ),
    "ArxivQA": (
        "This query is related to retrieving a relevant figure from an ArXiv research paper. The retrieved figure "
        "should contain scientific plots, mathematical visualizations, or experimental results that best address the "
        "query: ",
        "A figure from a research paper, including plots or experimental results.",
    ),
    "ChartQA": (
        "This query is related to retrieving a relevant chart that visually represents numerical or categorical data. "
        "The retrieved chart should contain bar graphs, line charts, or other visual elements necessary to analyze "
        "trends, compare values, or extract insights related to the query: ",
        "A statistical chart comparing values or analyzing trends.",
    ),
    "MP-DocVQA": (
        "This query is related to retrieving a relevant page from a multi-page document, such as reports, invoices, or "
        "research papers. The retrieved document should contain text, tables, or structured information necessary to "
        "answer the query: ",
        "A page from a multi-page document with text or tables.",
    ),
    "InfoVQA": (
        "This query is related to retrieving an infographic that visually presents statistical or factual information "
        "using charts, icons, and structured layouts. The retrieved image should contain the necessary visual elements "
        "to provide the best context for answering the query: ",
        "An infographic with structured data, charts, and annotations.",
    ),
    "PlotQA": (
        "This query relates to retrieving a relevant plot or chart that visually represents numerical data. The "
        "retrieved figure should contain the necessary information to analyze trends, compare values, or extract key "
        "insights related to the query: ",
        "A numerical data visualization, such as bar charts or line graphs.",
    ),
    "SlideVQA": (
        "This query is related to retrieving a relevant presentation slide that visually presents structured "
        "information. The retrieved slide should contain the necessary text, charts, or graphics to provide the best "
        "answer to the query: ",
        "A presentation slide with text, bullet points, and diagrams.",
    ),
}

_HOUND = "ShareGPTVideo/train_video_and_instruction"
_SFT = "video_instruction/train/sft"


def _hound(name: str, rows: str, parse: Parser, cap: int) -> PublicSet:
    return PublicSet(
        name=name, repo=_HOUND, config=None, split="train", parse=parse, cap=cap, weight=5, rows=f"{_SFT}/{rows}",
        archives="train_300k/*.tar.gz", unpack_into="train_300k",
    )  # fmt: skip


SETS: tuple[PublicSet, ...] = (
    *(
        PublicSet(
            name=f"mmeb-{subset}", repo="TIGER-Lab/MMEB-train", config=subset, split="original", parse=parse_mmeb,
            cap=cap, weight=weight, archives=f"images_zip/{subset}.zip", unpack_into="image",
        )
        for subset, (cap, weight) in MMEB.items()
    ),
    PublicSet(
        name="colpali", repo="vidore/colpali_train_set", config=None, split="train", parse=parse_colpali, cap=None,
        weight=10,
    ),
    PublicSet(
        name="visrag", repo="openbmb/VisRAG-Ret-Train-In-domain-data", config=None, split="train", parse=parse_visrag,
        cap=None, weight=12,
    ),
    _hound("llavahound-caption", "video_caption_300k.jsonl", parse_llavahound_caption, 300_000),
    _hound("llavahound-retrieval", "video_caption_300k.jsonl", parse_llavahound_retrieval, 300_000),
    # the public recipe's own file of 240,000 questions is the head of this one
    _hound("llavahound-qa", "video_240k_caption_15k.jsonl", parse_llavahound_qa, 240_000),
)  # fmt: skip
