"""How often the encoding of an old text file is found: ours beside charset-normalizer, on real sentences.

    python benchmarks/text_encodings.py    # needs charset-normalizer, and message catalogues in /usr/share/locale

The sentences are translations in the gettext catalogues of this machine, encoded in what such languages were written in
before UTF-8. A text counts as right where decoding gives it back letter by letter.
"""

from __future__ import annotations

import gettext
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from charset_normalizer import from_bytes

from vlm2vec_rag.media.decode import decode

CATALOGUES = Path("/usr/share/locale")
ENCODINGS = {
    "ru": "cp1251 koi8-r cp866 iso8859-5",
    "uk": "cp1251 koi8-u",
    "bg": "cp1251",
    "ja": "shift_jis euc_jp",
    "zh_CN": "gbk gb18030",
    "zh_TW": "big5",
    "ko": "euc_kr",
    "pl": "cp1250 iso8859-2",
    "cs": "cp1250 iso8859-2",
    "hu": "cp1250",
    "hr": "cp1250",
    **dict.fromkeys(("de", "fr", "es"), "cp1252 mac-roman"),
    **dict.fromkeys(("it", "sv", "pt_BR"), "cp1252"),
    "el": "cp1253",
    "tr": "cp1254",
    "he": "cp1255",
    "ar": "cp1256",
    "th": "cp874",
    "vi": "cp1258",
}
LINES = (1, 3, 10, 40)
TEXTS = 12  # for each language, encoding and length


def sentences(language: str) -> list[str]:
    """Translated messages without placeholders or markup, in an order that does not change."""
    found = set()
    for path in sorted((CATALOGUES / language / "LC_MESSAGES").glob("*.mo"))[:400]:
        try:
            with path.open("rb") as file:
                messages = gettext.GNUTranslations(file)._catalog.items()  # type: ignore[attr-defined]
        except (OSError, UnicodeError, ValueError):
            continue
        for message, words in messages:
            if isinstance(words, str) and message and words != message and 15 < len(words) < 200:
                found.add(" ".join(words.replace("_", "").replace("&", "").split()))
    shuffled = sorted(each for each in found if not set("%<{") & set(each) and each.isprintable())
    random.Random(7).shuffle(shuffled)
    return shuffled


def texts(lines: int) -> Iterator[tuple[str, bytes]]:
    for language, encodings in ENCODINGS.items():
        pool = sentences(language)
        for encoding in encodings.split():
            made = 0
            for start in range(0, len(pool) - lines, lines):
                text = "\n".join(pool[start : start + lines]) + "\n"
                try:
                    data = text.encode(encoding)
                except UnicodeEncodeError:
                    continue
                if data.isascii():
                    continue
                yield text, data
                made += 1
                if made == TEXTS:
                    break


def by_charset_normalizer(data: bytes) -> str:
    best = from_bytes(data).best()
    return data.decode(best.encoding, "replace") if best else ""


def main() -> None:
    finders: dict[str, Callable[[bytes], str]] = {
        "ours": lambda data: decode(data).text,
        "charset-normalizer": by_charset_normalizer,
    }
    print(
        "| lines | texts | ours | charset-normalizer | doubted by us | wrong and not doubted | CPU time, ours/theirs |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for lines in LINES:
        made = list(texts(lines))
        right, seconds = {}, {}
        for name, find in finders.items():
            started = time.process_time()
            right[name] = sum(find(data) == text for text, data in made)
            seconds[name] = time.process_time() - started
        found = [(decode(data), text) for text, data in made]
        doubted = sum(each.is_doubtful for each, _ in found)
        unnoticed = sum(each.text != text and not each.is_doubtful for each, text in found)
        counts = [lines, len(made), *right.values(), doubted, unnoticed]
        print(f"| {' | '.join(map(str, counts))} | {seconds['ours'] / seconds['charset-normalizer']:.2f} |")


if __name__ == "__main__":
    main()
