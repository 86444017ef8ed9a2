"""A text layer that says nothing is told from text in any script, from numbers, formulas and programs."""

from __future__ import annotations

import pytest
from handmade_pdfs import Sheet, make_pdf

from vlm2vec_rag.media import MediaLimits, MediaSettings
from vlm2vec_rag.media.pdf.broken import is_broken
from vlm2vec_rag.media.pdf.pages import PdfFile

PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light"
)


def moved(text: str, step: int) -> str:
    """Every letter moved along the alphabet."""
    return "".join(chr(ord("a") + (ord(c) - ord("a") + step) % 26) if "a" <= c <= "z" else c for c in text.lower())


def as_glyphs(text: str) -> str:
    """The numbers of a TrueType font's glyphs, taken for characters."""
    return "".join(chr(ord(char) - 29) for char in text)


@pytest.mark.parametrize(
    "text",
    [
        "& 7 5 @!3 % &",
        as_glyphs("Hello World, this is a page"),
        as_glyphs(PROSE),
        as_glyphs("RECOMENDACIONES"),
        moved(PROSE, 3),
        moved(PROSE, 1),
        "\ufffd" * 14,
        "Óêðà¿íñüêèé ïðàâîïèñ Íàö³îíàëüíà àêàäåì³ÿ",  # windows-1251 read as windows-1252
        "ɍɝɥɨɜɚɹ ɲɥɢɮɨɜɚɥɶɧɚɹ ɦɚɲɢɧɚ",
        "ߢߴҠѢ֞ مֻاٯࢱ ѱ֞ґӖպҭ أنإ࠺ ՖӉ֖ඕѢ֞ ѢূাѢ֡ѿӖ࠺࠾ל",
    ],
)
def test_what_says_nothing_is_told(text: str) -> None:
    assert is_broken(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        PROSE,
        PROSE.upper(),
        "Übergrößenträger müßten fünfzig Stühle für die Ärzte bügeln",
        "Chào mừng bạn dùng Debian, hệ điều hành tự do cho mọi người",
        "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "à À â Â ä Ä ç Ç é É è È ê Ê ë Ë",  # a chart of letters
        "本マニュアルはGNU GPLに従って配布できます。ΔTは10㎡。",
        "هذا مثال على نص عربي مع GNU/Linux و LaTeX ٢٠١٩",
        "데비안 GNU/리눅스 설치 안내서 2023년 7월 9일",
        "Това е текст на български и Debian",
        "0.1 0.2 0.3 854.9 839.3 1,582.7 (121.7) 50 % 00-01-02",
        "\\def\\@ifundefined#1{\\expandafter\\ifx\\csname#1\\endcsname\\relax} % \\begin{document}",
        "for (int i = 0; i < n; i++) { a[i] += b[i] * c[i] >> 2; } // &x != NULL",
        "∫₀^∞ e^{-x²} dx = √π/2,  ∀ε>0 ∃δ>0: |x−y|<δ ⇒ |f(x)−f(y)|<ε",
        "1.1 What is Debian? . . . . . . . . . . . . . . . . . . . . . 1",
    ],
)
def test_text_is_text(text: str) -> None:
    assert not is_broken(text)


def test_a_broken_layer_is_kept_out_of_the_page(tmp_path, engine):
    sheets = [Sheet(words=[(72, 700, "& 7 5 @!3 % &")]), Sheet(words=[(72, 700, "Revenue rose steeply")])]
    file = PdfFile(str(make_pdf(tmp_path / "a.pdf", sheets)), MediaSettings(pdf_engine=engine), MediaLimits())
    broken, good = file.page(1), file.page(2)
    assert (broken.text, broken.metadata) == ("", {"text_layer": "broken"})
    assert (good.text, good.metadata) == ("Revenue rose steeply", {})
    assert file.words(1) == [] and len(file.words(2)) == 3
