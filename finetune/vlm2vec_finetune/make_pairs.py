"""Questions for one's own pages without any model: headings, captions, distinctive sentences, cut-outs of the image.

What is asked is what stands on the page; the model learns to find it in the image of the page. A question that fits
more than one page is dropped. Questions that a language model writes are in `ask_model.py`.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_finetune.passages import Passage
from vlm2vec_rag.errors import EmptyInput, InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Maker: TypeAlias = Callable[[Sequence[Passage]], list[list[str]]]  # questions of each passage, best first

WORD = re.compile(r"[^\W\d_]{2,}")
NUMBERED = re.compile(
    r"^(?:(?i:chapter|section|appendix|kapitel|abschnitt|anhang)\s+)?(?:\d+|[A-Z])(?:\.\d+)*\.?\s+([A-ZÄÖÜÀ-Þ]\S.{2,78})$"
)
CAPTION = re.compile(
    r"^(?:figure|fig\.|table|chart|exhibit|plate|abbildung|abb\.|tabelle|figura|tabla|tableau)\s*[\dIVX]+[-.\d]*\s*[:.–—-]?"
    r"\s+(\S.{14,240})$",
    re.I,
)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[«„“\"(]?[A-ZÄÖÜÀ-Þ])")
MIN_WORDS, MAX_WORDS = 6, 40  # of a sentence that can be asked


def headings(passages: Sequence[Passage]) -> list[list[str]]:
    """The outline entry that begins on a page, and numbered lines that read like headings."""
    known: set[tuple[str, str]] = set()
    found: list[list[str]] = []
    for passage in passages:
        mine = []
        if passage.title and (passage.document, passage.title) not in known:
            known.add((passage.document, passage.title))
            entry = passage.title.rpartition(" › ")[2]
            match = NUMBERED.match(entry)
            mine.append(match[1] if match else entry)
        for line in _lines(passage.text):
            match = NUMBERED.match(line)
            # a contents page lists headings that stand elsewhere: its lines end in a page number
            if match and not re.search(r"[.,;:]$|\.\s*\.|\s\d+$", line) and len(WORD.findall(match[1])) >= 2:
                mine.append(match[1])
        found.append(mine)
    return found


def captions(passages: Sequence[Passage]) -> list[list[str]]:
    """What stands below figures and tables, without their numbers."""
    return [
        [
            match[1]
            for line in _lines(passage.text)
            if (match := CAPTION.match(line)) and len(WORD.findall(match[1])) >= 3
        ]
        for passage in passages
    ]


def sentences(passages: Sequence[Passage]) -> list[list[str]]:
    """The sentences whose words are rarest in the collection, most distinctive first."""
    texts = bodies(passages)
    bags = [set(_words(text)) for text in texts]
    pages_with = Counter(word for bag in bags for word in bag)
    rarity = {word: math.log(len(passages) / count) + 1 for word, count in pages_with.items()}

    def distinctiveness(sentence: str) -> float:
        words = _words(sentence)
        # a word that stands once in the whole collection is as likely a misread as a name
        weights = [rarity.get(word, 0.0) if pages_with[word] > 1 else rarity.get(word, 0.0) / 2 for word in words]
        return sum(weights) / len(words)

    found: list[list[str]] = []
    for text in texts:
        candidates = [each for each in SENTENCE.split(text) if MIN_WORDS <= len(_words(each)) <= MAX_WORDS]
        found.append(sorted(dict.fromkeys(candidates), key=lambda each: (-distinctiveness(each), each)))
    return found


def bodies(passages: Sequence[Passage]) -> list[str]:
    """The running text of each passage on one line: no running heads, no hyphens at line ends, no ligatures.

    A line that comes on three pages of a document, numbers aside, is a running head.
    """
    seen = Counter(
        (passage.document, masked)
        for passage in passages
        for masked in {_masked(line) for line in _lines(passage.text)}
    )
    return [
        re.sub(
            r"(?<=\w)- (?=[a-zäöüß-ÿ])",
            "",
            " ".join(line for line in _lines(passage.text) if line and seen[passage.document, _masked(line)] < 3),
        )
        for passage in passages
    ]


TEXT_METHODS: dict[str, Maker] = {"headings": headings, "captions": captions, "sentences": sentences}


def pairs_from_text(passages: Sequence[Passage], methods: Iterable[str], *, per_page: int = 2) -> list[Pair]:
    """Pairs by the named methods, at most `per_page` of each for a page.

    Raises:
        InvalidInput: There is no such method.
    """
    pairs: list[Pair] = []
    for method in methods:
        if method not in TEXT_METHODS:
            raise InvalidInput(f"no method is called {method!r}; expected {', '.join([*TEXT_METHODS, 'crops'])}")
        for passage, questions in zip(passages, TEXT_METHODS[method](passages), strict=True):
            if passage.content.kind == "text":
                # the question must not be the first words of its own answer, word for word
                questions = [each for each in questions if each not in passage.content.text[: len(each) + 1]]  # noqa: PLW2901
            pairs += [_pair(passage, Content(text=each)) for each in questions[:per_page]]
    return unambiguous(pairs)


def pairs_from_crops(passages: Iterable[Passage], folder: Path, *, per_page: int = 2, seed: int = 0) -> list[Pair]:
    """Cut-outs of each image as questions: find the page that a screenshot is from.

    A cut-out has half the width and a third of the height, where there is something to see.

    Args:
        passages: With their images.
        folder: Where the cut-outs are written.
        per_page: How many of each.
        seed: Start of the random places.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pairs: list[Pair] = []
    for passage in passages:
        if passage.image is None:
            continue
        name = hashlib.sha256(passage.content.place.encode()).hexdigest()[:16]
        chance = random.Random(f"{seed} {name}")
        for number, box in enumerate(_boxes(passage.image, chance, per_page)):
            path = folder / f"{name}-{number}.png"
            passage.image.crop(box).save(path)
            pairs.append(_pair(passage, Content(image=str(path.resolve()))))
    return pairs


def unambiguous(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs whose question, letter case and spaces aside, is asked of one target only; each once."""
    targets: dict[str, set[Content]] = {}
    kept: dict[tuple[str, Content], Pair] = {}
    for pair in pairs:
        asked = " ".join(pair.query.text.lower().split()) or pair.query.place
        targets.setdefault(asked, set()).add(pair.target)
        kept.setdefault((asked, pair.target), pair)
    return [pair for (asked, _), pair in kept.items() if len(targets[asked]) == 1]


def split_by_document(pairs: Sequence[Pair], held_out: float, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """Divide pairs into those to train on and those to evaluate on; no document is on both sides.

    Documents are taken in a random order until the held-out side has its share of pairs, so the share is met within
    one document's pairs.

    Raises:
        EmptyInput: There are not two documents to divide.
        InvalidInput: The share is not between 0 and 1.
    """
    if not 0 < held_out < 1:
        raise InvalidInput(f"held_out is {held_out}; expected a share between 0 and 1, such as 0.2")
    sizes = Counter(pair.group for pair in pairs)
    if len(sizes) < 2:
        raise EmptyInput(
            f"the pairs come from {len(sizes)} documents, and a split by document needs two or more; "
            "add documents, or other methods if there are no pairs at all"
        )
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    chosen: set[str] = set()
    for document in order[:-1]:  # one document at least stays to train on
        taken = sum(sizes[each] for each in chosen)
        if chosen and abs(taken + sizes[document] - held_out * len(pairs)) >= abs(taken - held_out * len(pairs)):
            continue
        chosen.add(document)
    return [p for p in pairs if p.group not in chosen], [p for p in pairs if p.group in chosen]


def _pair(passage: Passage, query: Content) -> Pair:
    return Pair(query=query, target=passage.content, document=passage.document)


def _lines(text: str) -> list[str]:
    # NFKC takes ligatures apart: print has «ﬁnite», people type «finite»
    return [" ".join(line.split()) for line in unicodedata.normalize("NFKC", text).splitlines()]


def _masked(line: str) -> str:
    return re.sub(r"\d+", "0", line)


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def _boxes(image: PILImage, chance: random.Random, count: int) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of cut-outs with something on them, in px."""
    from PIL import ImageStat

    grey = image.convert("L")
    width, height = max(28, image.width // 2), max(28, image.height // 3)
    found: list[tuple[int, int, int, int]] = []
    for _ in range(10 * count):
        left = chance.randint(0, max(0, image.width - width))
        top = chance.randint(0, max(0, image.height - height))
        box = (left, top, min(left + width, image.width), min(top + height, image.height))
        # blank paper has a deviation of nothing; a few lines of print already have 20 of 255
        if ImageStat.Stat(grey.crop(box)).stddev[0] > 20:
            found.append(box)
        if len(found) == count:
            break
    return found
