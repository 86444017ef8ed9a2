"""A small collection that ships with the package: documents, a film and images, and five questions about them.

All of it is real and free to redistribute; SOURCES.md beside this file says where each file is from, who made it and
under which licence. The words that find an image are its own caption (PNG `Title` and `Description`, EXIF
`ImageDescription`), those that find a moment of the film are its subtitles, those that find a page are its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

__all__ = ["QUESTIONS", "SampleQuestion", "folder"]


@dataclass(frozen=True, slots=True)
class SampleQuestion:
    """A question about the collection, and the places that answer it, the best one first.

    A place is a file name and a fragment, as in `Hit.place`. In the film it is the moment itself, however long the
    clips are that the film was cut into.
    """

    question: str
    places: tuple[str, ...]

    def is_answered_by(self, place: str) -> bool:
        """Whether a hit's place answers the question: the same page, the same image, a clip around the moment.

        Args:
            place: A `Hit.place`; its file may be given with any folder before it.
        """
        return any(_covers(place, expected) for expected in self.places)


QUESTIONS: tuple[SampleQuestion, ...] = (
    SampleQuestion("What are the LaTeX font sizes, from tiny to huge?", ("latexsheet.pdf#page=1",)),
    SampleQuestion(
        "Did treated arthritis patients improve more than those on placebo?",
        # the chart that shows it, and the text that says so
        ("hcl-colors.pdf#page=11", "hcl-colors.pdf#page=9"),
    ),
    SampleQuestion(
        "How do I make one slice stick out of a pie chart?",
        # the table that explains it, and the chart that shows it
        ("reportlab-charts.pdf#page=13", "reportlab-charts.pdf#page=12"),
    ),
    SampleQuestion("When does a butterfly fly around the bunny's head?", ("big-buck-bunny.mp4#t=60,64",)),
    SampleQuestion("Is there a photo of a cup of coffee?", ("espresso.jpg",)),
)


def folder() -> Path:
    """The folder to index: three PDFs, a film with its subtitles, and ten images, 3.4 MB in all."""
    return Path(__file__).parent / "files"


def _covers(place: str, expected: str) -> bool:
    source, _, fragment = place.partition("#")
    expected_source, _, expected_fragment = expected.partition("#")
    if Path(unquote(source)).name != expected_source:
        return False
    if not (fragment.startswith("t=") and expected_fragment.startswith("t=")):
        return fragment == expected_fragment
    (start_s, end_s), moment_s = _span_s(fragment), sum(_span_s(expected_fragment)) / 2
    return start_s <= moment_s <= end_s


def _span_s(fragment: str) -> tuple[float, float]:
    start_s, end_s = fragment.removeprefix("t=").split(",")
    return float(start_s), float(end_s)
