"""The sample collection: small, complete, licensed, and its five questions have the answers it says.

Nothing here goes through the package's own readers or its word search: pages are read with pypdfium2, subtitles and
captions by hand, and words are ranked by a BM25 written out below.
"""

import math
import re
from collections import Counter
from pathlib import Path

import av
import pypdfium2
import pytest
from PIL import Image

from vlm2vec_rag import samples
from vlm2vec_rag.samples import QUESTIONS, SampleQuestion

ROOT = Path(samples.__file__).parent
FILES = samples.folder()
DOCUMENTS = sorted(FILES.glob("*.pdf"))
IMAGES = sorted([*FILES.glob("*.jpg"), *FILES.glob("*.png")])
FILM = FILES / "big-buck-bunny.mp4"

EXIF_IMAGE_DESCRIPTION, EXIF_ARTIST, EXIF_COPYRIGHT = 0x010E, 0x013B, 0x8298

WORDS_AT_THE_PLACE = {
    "latexsheet.pdf#page=1": ["Font size", "tiny", "huge"],
    "hcl-colors.pdf#page=11": ["Improved", "Treated Placebo", "mosaic display for arthritis data"],
    "hcl-colors.pdf#page=9": ["the treatment lead to higher improvement compared to the placebo group"],
    "reportlab-charts.pdf#page=13": ["How far out should the slice(s) stick from the centre of the pie?"],
    "reportlab-charts.pdf#page=12": ["popout = 10", "pie chart"],
    "big-buck-bunny.mp4#t=60,64": ["butterfly flutters around the bunny's head"],
    "espresso.jpg": ["cup of coffee"],
}


def page_texts() -> dict[str, str]:
    texts = {}
    for path in DOCUMENTS:
        with pypdfium2.PdfDocument(path) as document:
            for number, page in enumerate(document, start=1):
                textpage = page.get_textpage()
                texts[f"{path.name}#page={number}"] = textpage.get_text_bounded()
                textpage.close()
                page.close()
    return texts


def subtitles() -> list[tuple[float, float, str]]:
    """(start, end, text) of each cue, in seconds."""

    def seconds(time: str) -> float:
        hours, minutes, rest = time.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))

    cues = []
    for block in FILM.with_suffix(".srt").read_text(encoding="utf-8").strip().split("\n\n"):
        _, times, *lines = block.splitlines()
        start, end = times.split(" --> ")
        cues.append((seconds(start), seconds(end), " ".join(lines)))
    return cues


def said_between(start_s: float, end_s: float) -> str:
    return " ".join(text for start, end, text in subtitles() if start < end_s and end > start_s)


def caption(path: Path) -> str:
    with Image.open(path) as image:
        fields = [image.info.get("Title"), image.info.get("Description"), image.getexif().get(EXIF_IMAGE_DESCRIPTION)]
    return " ".join(field for field in fields if field)


def film_seconds() -> float:
    with av.open(str(FILM)) as container:
        return container.duration / av.time_base


def item_texts(clips: list[tuple[int, int]]) -> dict[str, str]:
    """What a word search has to go by, for each page, clip and image."""
    texts = page_texts()
    for start, end in clips:
        texts[f"{FILM.name}#t={start},{end}"] = said_between(start, end)
    return texts | {path.name: f"{path.stem} {caption(path)}" for path in IMAGES}


def bm25_ranking(question: str, texts: dict[str, str], k: float = 1.2, b: float = 0.75) -> list[str]:
    """Robertson and Spärck Jones, without stemming or stopwords; best place first."""
    counts = {place: Counter(re.findall(r"\w+", text.lower())) for place, text in texts.items()}
    mean_length = sum(count.total() for count in counts.values()) / len(counts)

    def score(place: str) -> float:
        total = 0.0
        for word in set(re.findall(r"\w+", question.lower())):
            holding = sum(word in count for count in counts.values())
            rarity = math.log(1 + (len(counts) - holding + 0.5) / (holding + 0.5))
            times, length = counts[place][word], counts[place].total()
            total += rarity * times * (k + 1) / (times + k * (1 - b + b * length / mean_length))
        return total

    return sorted(texts, key=score, reverse=True)


def test_it_is_under_five_megabytes():
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) < 5e6


def test_sources_lists_every_file_and_no_other():
    listed = re.findall(r"^\| `([^`]+)` \|", (ROOT / "SOURCES.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in FILES.iterdir())


def test_sources_names_author_licence_and_origin_of_every_file():
    for line in (ROOT / "SOURCES.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            name, what, author, licence, origin, _ = (cell.strip() for cell in line.strip("|").split("|"))
            assert what and author and licence and origin, name


def test_the_notices_that_sources_links_to_are_there():
    linked = re.findall(r"\]\((licences/[^)]+)\)", (ROOT / "SOURCES.md").read_text(encoding="utf-8"))
    assert linked
    for path in linked:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_open_draw_and_hold_text(path):
    with pypdfium2.PdfDocument(path) as document:
        assert len(document) == {"latexsheet.pdf": 2, "hcl-colors.pdf": 12, "reportlab-charts.pdf": 16}[path.name]
        for page in document:
            bitmap = page.render(scale=0.3)
            darkest, lightest = bitmap.to_pil().convert("L").getextrema()
            assert darkest < lightest
            bitmap.close()
            page.close()
    assert all(len(text) > 20 for place, text in page_texts().items() if place.startswith(path.name))


def test_the_manual_keeps_the_page_numbers_and_the_outline_of_the_whole_book():
    with pypdfium2.PdfDocument(FILES / "reportlab-charts.pdf") as manual:
        labels = [manual.get_page_label(index) for index in range(len(manual))]
        outline = {entry.get_title(): labels[entry.get_dest().get_index()] for entry in manual.get_toc()}
    assert labels == ["1", *map(str, range(107, 122))]
    assert outline["11.9 Pie Charts"] == "117"
    texts = [text for place, text in page_texts().items() if place.startswith("reportlab-charts.pdf")]
    printed = {index: foot[1] for index, text in enumerate(texts) if (foot := re.search(r"Page (\d+)\s*$", text))}
    assert len(printed) == 15  # all but the cover
    assert all(labels[index] == number for index, number in printed.items())


def test_the_film_plays_to_its_end():
    with av.open(str(FILM)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (640, 360)
        times_s = [frame.time for frame in container.decode(video)]
    assert len(times_s) == 74 * 24
    assert times_s[0] == 0
    assert film_seconds() == 74


def test_subtitles_follow_each_other_from_the_start_of_the_film_to_its_end():
    times_s = [time for start, end, _ in subtitles() for time in (start, end)]
    assert times_s == sorted(times_s)
    assert times_s[0] > 0
    assert times_s[-1] < film_seconds()


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_images_open_and_carry_caption_author_and_licence(path):
    with Image.open(path) as image:
        image.load()
        assert max(image.size) <= 640
        exif = image.getexif()
        author = image.info.get("Author") or exif.get(EXIF_ARTIST)
        licence = image.info.get("Copyright") or exif.get(EXIF_COPYRIGHT)
    assert caption(path)
    row = next(line for line in (ROOT / "SOURCES.md").read_text("utf-8").splitlines() if f"`{path.name}`" in line)
    assert author.split(";")[0] in row
    assert licence.lower() in row.lower()


def test_there_are_five_questions_on_five_files():
    assert len(QUESTIONS) == 5
    assert len({question.places[0].partition("#")[0] for question in QUESTIONS}) == 5


def test_the_answer_is_really_at_every_place_named():
    texts = page_texts() | {path.name: caption(path) for path in IMAGES}
    texts["big-buck-bunny.mp4#t=60,64"] = said_between(60, 64)
    assert {place for question in QUESTIONS for place in question.places} == set(WORDS_AT_THE_PLACE)
    for place, words in WORDS_AT_THE_PLACE.items():
        text = " ".join(texts[place].split())
        for word in words:
            assert word in text, place


@pytest.mark.parametrize(
    "clips",
    [[(0, 30), (25, 55), (50, 74)], [(0, 30), (30, 60), (60, 74)], [(0, 74)]],
    ids=["overlapping", "side-by-side", "whole"],
)
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.places[0])
def test_words_alone_rank_the_best_place_first(question, clips):
    best = bm25_ranking(question.question, item_texts(clips))[0]
    assert SampleQuestion(question.question, question.places[:1]).is_answered_by(best)


@pytest.mark.parametrize(
    ("place", "is_answer"),
    [
        ("film.mp4#t=60,74", True),
        ("/home/me/samples/film.mp4#t=60,74", True),
        ("film.mp4#t=55.5,62", True),
        ("film.mp4#t=30,60", False),
        ("film.mp4#t=62.5,74", False),  # starts after the middle of the moment
        ("film.mp4", False),
        ("other.mp4#t=60,74", False),
        ("manual.pdf#page=12", True),
        ("my%20files/manual.pdf#page=12", True),
        ("manual.pdf#page=1", False),
        ("manual.pdf", False),
        ("cup.jpg", True),
        ("my-cup.jpg", False),
    ],
)
def test_a_place_answers_when_it_covers_an_expected_one(place, is_answer):
    question = SampleQuestion("Where?", ("film.mp4#t=60,64", "manual.pdf#page=12", "cup.jpg"))
    assert question.is_answered_by(place) is is_answer
