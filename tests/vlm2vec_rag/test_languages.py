"""The language of texts is found from a sample, and said; texts too short to tell are English, as assumed."""

import pytest

from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.languages import ASSUMED, LANGUAGES, NO_LANGUAGE, code_of, detect_language

GERMAN = "Die Schlüsselübergabe an Frau Müller ist am Montag um neun Uhr im Büro des Hausmeisters."
ENGLISH = "The annual report says that revenue by region has grown by ten percent over the year."
TEXTS = {
    "german": GERMAN,
    "english": ENGLISH,
    "french": "La remise des clés aura lieu lundi matin à neuf heures dans le bureau du gardien.",
    "spanish": "La entrega de las llaves será el lunes a las nueve de la mañana en la oficina.",
    "italian": "La consegna delle chiavi avverrà lunedì mattina alle nove nell'ufficio del custode.",
    "dutch": "De sleutels worden maandagochtend om negen uur in het kantoor overhandigd.",
    "swedish": "Nycklarna överlämnas på måndag morgon klockan nio på vaktmästarens kontor.",
    "russian": "Передача ключей состоится в понедельник в девять часов утра в кабинете.",
    "norwegian": "Nøklene blir overlevert mandag morgen klokken ni på vaktmesterens kontor, sier hun.",
    "japanese": "鍵の受け渡しは月曜日の午前九時に管理人室で行います。",
    NO_LANGUAGE: "Przekazanie kluczy odbędzie się w poniedziałek o dziewiątej rano w biurze.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_one_sentence_tells_its_language(language):
    found = detect_language([TEXTS[language]])
    assert (found.language, found.is_assumed, found.texts, found.sample) == (language, False, 1, 1)


@pytest.mark.parametrize("texts", [[], [""], ["cat"], ["IMG 0012", "9.99 EUR"], ["abab bebe dodo cucuc fifif " * 9]])
def test_too_little_text_is_english_and_said_to_be_assumed(texts):
    found = detect_language(texts)
    assert found.language == ASSUMED == "english" and found.is_assumed
    assert str(found) == "english, assumed: there was too little text to tell"


def test_most_letters_decide_and_the_count_is_said():
    found = detect_language([ENGLISH, *[GERMAN] * 3, "1, 2, 3"])
    assert str(found) == "german, detected from 3 of 4 texts"
    assert str(detect_language([GERMAN])) == "german, detected from 1 text"
    assert detect_language([GERMAN, ENGLISH * 4]).language == "english"


def test_a_language_without_a_stemmer_leaves_words_as_they_are_and_is_named():
    found = detect_language([TEXTS[NO_LANGUAGE]] * 2)
    assert str(found) == "none (for 'pl' there is no stemmer), detected from 2 texts"


def test_captions_too_short_to_tell_are_taken_together():
    captions = ["der Hund", "die Brücke", "im Winter", "am Bahnhof", "das Haus", "mit Kindern"]
    assert all(detect_language([each]).is_assumed for each in captions[:2])
    assert detect_language(captions).language == "german"


@pytest.mark.parametrize(("code", "language"), LANGUAGES.items())
def test_every_language_is_one_that_the_engine_has(code, language):
    assert Bm25(language).encode_query("INV-2024-001")
    assert code_of(language) == code


def test_japanese_and_chinese_words_are_found_under_their_own_languages():
    for language, text, word in (
        ("japanese", "明日の東京の天気は晴れ", "天気"),
        ("chinese", "我们喜欢红色的花", "红色"),
        ("japanese", "吾輩は猫である", "猫"),
    ):
        bm25 = Bm25(language)
        assert set(bm25.encode_query(word).indices) & set(bm25.encode_text(text).indices)


def test_the_process_wide_detector_of_others_is_left_alone():
    import py3langid

    detect_language([GERMAN])
    assert py3langid.classify("gratia plena dominus tecum benedicta tu in mulieribus")[0] == "la"
