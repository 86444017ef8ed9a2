"""A new library takes the language of its first texts, says so, and keeps to it; every face gets it from here."""

import pypdfium2
import pytest
from PIL import Image as PILImage

import vlm2vec_rag as vr
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Text
from vlm2vec_rag.library.sampling import spread
from vlm2vec_rag.library.writing import Entry
from vlm2vec_rag.media import MediaSettings

GERMAN = "Die Schlüsselübergabe an Frau Müller ist am Montag um neun Uhr. Die Reparatur der Häuser kostet 12.500 Euro."
ENGLISH = "The annual report says that revenue by region has grown by ten percent over the year."
FRENCH = "La coopération des élèves sera récompensée : un total de 12\u202f500 euros, dit le porte-parole du lycée."
SPANISH = "La canción del niño trata de las inversiones extranjeras, que costaron 12.500 pesos este año."


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def words_only(place=":memory:", **settings):
    return vr.open(place, "none", **settings)


@pytest.mark.parametrize(
    ("text", "language", "questions"),
    [
        (GERMAN, "german", "Mueller Müller Schlüssel Übergabe Haus 12500 12.500"),
        (ENGLISH.replace("region", "co-operation"), "english", "reports cooperation co-operation"),
        (FRENCH, "french", "cooperation élève eleves 12500 porteparole"),
        (SPANISH, "spanish", "canciones nino extranjera 12500"),
    ],
)
def test_the_language_of_the_first_texts_is_detected_and_its_spellings_meet(text, language, questions):
    """Whatever writes: this is how the frameworks do."""
    with words_only() as library:
        assert library.collection.language == ""
        library.writer().write([Entry.of(Text(text=text, source="document:1"))])
        assert str(library.collection.detected_language) == f"{language}, detected from 1 text"
        assert library.info().language == language
        for question in questions.split():
            assert library.search(question), question


def test_it_is_recorded_and_a_later_run_says_nothing_more(folder, tmp_path):
    (folder / "a.txt").write_text(GERMAN)
    with words_only(tmp_path / "c") as library:
        library.index(folder)
    for number in range(3):
        (folder / f"{number}.txt").write_text(ENGLISH)
    with vr.open(tmp_path / "c") as library:
        assert library.info().language == "german"
        assert library.index(folder).language is None
        assert library.info().language == "german"
    with pytest.raises(InvalidInput, match=r"with language 'german', not 'english'.*reindex --language english"):
        vr.open(tmp_path / "c", language="english")
    with vr.open(tmp_path / "c") as library:
        library.reindex(language="english")
        assert library.info().language == "english"


def test_a_given_language_is_taken_and_its_subtitles_are_preferred():
    with words_only(language="german") as library:
        library.writer().write([Entry.of(Text(text=ENGLISH, source="document:1"))])
        assert library.collection.detected_language is None
        assert library.info().language == "german"
        assert library.media_settings.subtitle_language == "de"
    asked = MediaSettings(subtitle_language="fr")
    with words_only(language="german", media=asked) as library:
        assert library.media_settings.subtitle_language == "fr"
    for language in (None, "none"):
        with words_only(language=language) as library:
            assert library.media_settings.subtitle_language is None


def test_a_mixed_folder_is_decided_by_most_of_it_not_by_its_first_file(folder):
    (folder / "a.txt").write_text(ENGLISH)
    for name in "bcd":
        (folder / f"{name}.txt").write_text(GERMAN)
    with words_only() as library:
        assert str(library.index(folder).language) == "german, detected from 3 of 4 texts"


def test_the_sample_is_of_pages_all_over_a_document(folder):
    """A cover in English does not make a report English."""
    pages = [f"<p>{ENGLISH if number == 0 else GERMAN}</p>" for number in range(8)]
    document = pypdfium2.PdfDocument.new()
    font = pypdfium2.raw.FPDFText_LoadStandardFont(document, b"Helvetica")
    for page in pages:
        added = document.new_page(600, 800)
        text = pypdfium2.raw.FPDFPageObj_CreateTextObj(document, font, 10.0)
        encoded = (page[3:-4] + "\0").encode("utf-16-le")
        buffer = (pypdfium2.raw.FPDF_WCHAR * (len(encoded) // 2)).from_buffer_copy(encoded)
        pypdfium2.raw.FPDFText_SetText(text, buffer)
        pypdfium2.raw.FPDFPageObj_Transform(text, 1, 0, 0, 1, 20, 700)
        pypdfium2.raw.FPDFPage_InsertObject(added, text)
        added.gen_content()
    document.save(folder / "report.pdf")
    with words_only(media=MediaSettings(ocr="off")) as library:
        assert str(library.index(folder).language) == "german, detected from 2 texts"


def test_images_decide_nothing_and_the_first_text_does(folder):
    PILImage.new("RGB", (60, 60), "red").save(folder / "Häuser.png")
    with words_only(media=MediaSettings(ocr="off")) as library:
        assert library.index(folder).language is None and library.info().language == ""
        assert library.search("Häuser")  # by its name
        (folder / "a.txt").write_text(GERMAN)
        assert library.index(folder).language.language == "german"
        assert len(library.search("Häuser")) == 2


def test_too_little_text_is_english_as_assumed():
    with words_only() as library:
        library.writer().write([Entry.of(Text(text="9.99", source="document:1"))])
        assert library.collection.detected_language.is_assumed
        assert library.info().language == "english"


def test_a_collection_made_for_another_language_is_settled_by_opening_it_with_one(tmp_path):
    words_only(tmp_path / "c").close()
    with vr.open(tmp_path / "c", language="french") as library:
        assert library.info().language == "french"
    with vr.open(tmp_path / "c") as library:
        assert library.info().language == "french"


def test_values_are_taken_from_all_over():
    assert spread(range(100), 4) == [12, 37, 62, 87]
    assert spread([1, 2, 3], 9) == [1, 2, 3]
    assert spread([], 4) == spread([1], 0) == []
