"""Questions from one's own pages: what is asked, what is dropped, and the split by document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.outputs import ChatResult
from PIL import Image, ImageDraw
from vlm2vec_finetune import Content, Pair
from vlm2vec_finetune.ask_model import load_chat_model, pairs_from_model, questions_in
from vlm2vec_finetune.make_pairs import (
    bodies,
    captions,
    headings,
    pairs_from_crops,
    pairs_from_text,
    sentences,
    split_by_document,
)
from vlm2vec_finetune.passages import Passage, passages_of_files

from vlm2vec_rag import samples
from vlm2vec_rag.errors import EmptyInput, InvalidInput, MissingExtra, VlmRagError
from vlm2vec_rag.media import MediaReader


def page(text: str, number: int = 1, document: str = "a.pdf", title: str = "") -> Passage:
    return Passage(content=Content(pdf=document, page=number), text=text, title=title, document=document)


def test_headings_are_outline_entries_once_and_numbered_lines() -> None:
    pages = [
        page("2.1 Closing the valve\nTurn it.\n3 . . . 12\n4 Pumps 17", 1, title="2 Valves › 2.1 Closing the valve"),
        page("more about it\n2.69 or 2.70 and later", 2, title="2 Valves › 2.1 Closing the valve"),
    ]
    assert headings(pages) == [["Closing the valve", "Closing the valve"], []]


def test_captions_lose_their_numbers() -> None:
    text = "Figure 3: Pressure over time in both chambers\nTable 2. Short\nAs Figure 4 shows, it rises."
    assert captions([page(text)]) == [["Pressure over time in both chambers"]]


def test_the_most_distinctive_sentence_comes_first() -> None:
    common = "The system is described in the following part of the manual."
    rare = "A gasket of neoprene survives forty cycles of thermal shock."
    pages = [
        page(f"{common} {rare}"),
        page(f"{common} It has a gasket, neoprene and thermal shock cycles."),
        page(common),
    ]
    assert sentences(pages)[0] == [rare, common]


def test_running_heads_and_broken_words_are_put_right() -> None:
    pages = [page(f"Chapter 1: Pumps {n}\nThe ﬁlter is ex-\nchanged once.", n) for n in range(1, 4)]
    pages[0] = page("Chapter 1: Pumps 1\nThe ﬁlter is ex-\nchanged twice.", 1)
    assert bodies(pages)[0].endswith("changed twice.")
    assert "Chapter" not in bodies(pages)[0]
    assert bodies([page("The ﬁlter is ex-\nchanged twice.")]) == ["The filter is exchanged twice."]


def test_a_question_of_two_pages_is_dropped() -> None:
    pages = [page("1 Introduction to pumps", 1), page("1 Introduction to Pumps", 2), page("2 Gaskets and seals", 3)]
    assert [(p.query.text, p.target.page) for p in pairs_from_text(pages, ["headings"])] == [("Gaskets and seals", 3)]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no method is called 'titles'"):
        pairs_from_text([page("x")], ["titles"])


def test_no_document_is_on_both_sides() -> None:
    pairs = [
        Pair(query=Content(text=f"{document} {n}"), target=Content(pdf=f"{document}.pdf", page=1 + n % 3))
        for document in "abcdefgh"
        for n in range(10)
    ]
    train, held_out = split_by_document(pairs, 0.25)
    assert (len(train), len(held_out)) == (60, 20)
    assert {pair.group for pair in train}.isdisjoint(pair.group for pair in held_out)
    assert split_by_document(pairs, 0.25) == (train, held_out)
    with pytest.raises(EmptyInput, match="come from 1 documents"):
        split_by_document(pairs[:10], 0.25)


def test_cut_outs_show_a_part_of_their_page(tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 600), "white")
    ImageDraw.Draw(image).rectangle((50, 50, 350, 550), fill="black", outline="red", width=40)
    passage = Passage(content=Content(pdf="a.pdf", page=1), text="", document="a.pdf", image=image)
    pairs = pairs_from_crops([passage], tmp_path, per_page=3)
    assert len(pairs) == 3
    for pair in pairs:
        with Image.open(pair.query.image) as cut:
            assert cut.size == (200, 200)
            assert len(cut.getcolors() or []) > 1
    blank = Passage(content=Content(pdf="b.pdf", page=1), text="", image=Image.new("RGB", (400, 600), "white"))
    assert pairs_from_crops([blank], tmp_path) == []


def test_real_pages_give_pairs_of_all_kinds() -> None:
    with MediaReader() as reader:
        pages = list(passages_of_files([samples.folder() / "hcl-colors.pdf"], reader, pages_per_document=6))
    assert len(pages) == 6
    assert all(pairs_from_text(pages, [method]) for method in ("headings", "captions", "sentences"))


def test_a_chat_model_writes_questions(tmp_path: Path) -> None:
    model = FakeListChatModel(
        responses=["1. How hot does the pump get?\n- What closes the valve?\nnot a question", "NONE"]
    )
    pages = [
        page("The pump reaches eighty degrees. " * 5, 1),
        page("too short", 2),
        page("Nothing of note here. " * 9, 3),
    ]
    pairs = pairs_from_model(pages, model)
    assert [(p.query.text, p.target.page) for p in pairs] == [
        ("How hot does the pump get?", 1),
        ("What closes the valve?", 1),
    ]
    assert questions_in("NONE") == []


def test_chat_models_are_found_by_name() -> None:
    assert isinstance(load_chat_model("chat_model_of_ours:model"), FakeListChatModel)
    with pytest.raises(InvalidInput, match="expected a LangChain chat model"):
        load_chat_model("pathlib:Path")
    with pytest.raises(InvalidInput, match="has no colon"):
        load_chat_model("gpt")
    with pytest.raises((InvalidInput, MissingExtra), match=r"json:gpt.*provider"):
        load_chat_model("json:gpt")  # a module of that name is no provider's model


@pytest.fixture(autouse=True)
def _module_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "chat_model_of_ours.py").write_text(
        "from langchain_core.language_models import FakeListChatModel\nmodel = FakeListChatModel(responses=['x'])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_model_that_always_fails_is_an_error() -> None:
    class Failing(BaseChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            raise RuntimeError("no credit")

        @property
        def _llm_type(self) -> str:
            return "failing"

    with pytest.raises(VlmRagError, match="failed on all 1 pages: no credit"):
        pairs_from_model([page("Something long enough to ask about. " * 5)], Failing())
