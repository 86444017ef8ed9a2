"""Bytes to text: the encoding is found, in short texts too, and what is no text is not taken for one."""

from __future__ import annotations

import random

import pytest

from vlm2vec_rag.media.decode import decode, looks_like_text

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\nШирокая электрификация южных губерний.\n"
UKRAINIAN = "Жебракують філософи при ґанку церкви в Гадячі, ще й шатро їхнє п'яне знаємо.\n"
JAPANESE = "日本語の字幕です。\n吾輩は猫である。名前はまだ無い。\n"
SIMPLIFIED = "中文字幕测试。\n我能吞下玻璃而不伤身体。\n"
TRADITIONAL = "中文字幕測試。\n我能吞下玻璃而不傷身體。\n"
KOREAN = "한국어 자막입니다.\n나는 유리를 먹을 수 있어요. 그래도 아프지 않아요.\n"
POLISH = "Pchnąć w tę łódź jeża lub ośm skrzyń fig.\nZażółć gęślą jaźń.\n"
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy.\nNechť již hříšné saxofony ďáblů rozezvučí síň.\n"
GERMAN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\nFalsches Üben quält jeden größeren Zwerg.\n"
FRENCH = "Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis : là-bas, c'était l'été.\n"
SPANISH = "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío; añoraba a su querido cachorro.\n"
GREEK = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.\nΓαζίες και μυρτιές δεν θα βρω πια.\n"
TURKISH = "Pijamalı hasta yağız şoföre çabucak güvendi.\nİstanbul'da güneşli bir gün geçirdik.\n"
HEBREW = "דג סקרן שט בים מאוכזב ולפתע מצא חברה.\n"
THAI = "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน\n"
TEXTS = [
    *((RUSSIAN, encoding) for encoding in ("cp1251", "koi8-r", "cp866", "iso8859-5")),
    *((UKRAINIAN, encoding) for encoding in ("cp1251", "koi8-u")),
    *((JAPANESE, encoding) for encoding in ("shift_jis", "euc_jp", "iso2022_jp", "utf-16-le", "utf-16-be")),
    *((SIMPLIFIED, encoding) for encoding in ("gbk", "gb18030", "utf-16-le", "utf-16-be")),
    *((TRADITIONAL, encoding) for encoding in ("big5", "utf-16", "utf-32")),
    *((KOREAN, encoding) for encoding in ("euc_kr", "cp949", "utf-16-le", "utf-16-be")),
    *((POLISH, encoding) for encoding in ("cp1250", "iso8859-2", "utf-16-le")),
    *((CZECH, encoding) for encoding in ("cp1250", "iso8859-2")),
    *((GERMAN, encoding) for encoding in ("cp1252", "mac-roman", "utf-8-sig", "utf-16-be")),
    *((FRENCH, encoding) for encoding in ("cp1252", "utf-8")),
    *((SPANISH, encoding) for encoding in ("cp1252", "latin-1")),
    (GREEK, "cp1253"),
    (TURKISH, "cp1254"),
    (HEBREW, "cp1255"),
    (THAI, "cp874"),
]


def is_high(byte):
    return byte > 0x7F


@pytest.mark.parametrize(("text", "encoding"), TEXTS, ids=[f"{text[:6]}-{encoding}" for text, encoding in TEXTS])
@pytest.mark.parametrize("frame", ["{}", "1\n00:00:01,000 --> 00:00:03,000\n{}\n"], ids=["plain", "subtitles"])
def test_two_lines_are_enough(text, encoding, frame):
    framed = frame.format(text)
    data = framed.encode(encoding)
    found = decode(data)
    assert found.text == framed
    assert found.is_doubtful == (not found.encoding.startswith(("utf", "iso2022")) and sum(map(is_high, data)) < 16)
    assert looks_like_text(data) and looks_like_text(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("word", "encoding"),
    [
        *(("кириллица слово", encoding) for encoding in ("cp1251", "koi8-r")),
        *(
            (word, encoding)
            for word, encoding in [("日本語の字幕", "shift_jis"), ("中文字幕", "gbk"), ("中文字幕", "big5")]
        ),
        *((word, encoding) for word, encoding in [("한국어", "euc-kr"), ("Größe", "cp1252"), ("naïve café", "cp1252")]),
    ],
)
def test_a_word_or_two_are_a_guess_that_is_said_to_be_one(word, encoding):
    found = decode(word.encode(encoding))
    assert found.text == word and found.is_doubtful


def test_ascii_before_and_behind_does_not_hide_what_matters():
    text = "# licence\n" * 20_000 + RUSSIAN + "-" * 200_000
    assert decode(text.encode("koi8-r")).text == text


def test_one_damaged_byte_does_not_garble_a_whole_file():
    found = decode(("日本語のテキスト" * 20).encode()[:-1] + b"\xff\n" + "と".encode())
    assert found.encoding == "utf-8" and found.text.startswith("日本語") and found.text.endswith("と")


def test_line_ends_become_one_line_feed():
    assert decode(b"a\r\nb\rc\n").text == "a\nb\nc\n"


def test_what_is_no_text_is_not_taken_for_one():
    chance = random.Random(5)
    noise = [chance.randbytes(size) for size in (100, 1000, 10_000) for _ in range(30)]
    tables = [b"".join(number.to_bytes(2, "little") for number in range(500)), bytes(500), bytes(range(256)) * 4]
    assert not [each[:8] for each in noise + tables if looks_like_text(each)]
