"""Bytes to text: which encoding a text or subtitle file has.

A byte order mark decides; else UTF-8 where it is valid; else UTF-16 where there are zero bytes; else the statistics of
`chardet`, because no bytes are invalid in most old encodings. Of 396 texts of 3 lines in 21 encodings and 22 languages
391 come out right, 307 by charset-normalizer (chardet 7.7.0, charset-normalizer 3.5.3; benchmarks/text_encodings.py).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before utf-16-le, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# control characters that no text holds; tab, line feed, form feed, carriage return and escape do occur
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_ISO_2022_JP = re.compile(rb"\x1b(\$[@B]|\([BJ])")

# what files are found in, as chardet calls them; EBCDIC, Macintosh Cyrillic and the DOS pages of the West, which a
# short text is easily mistaken for, are left out
_CANDIDATES = (
    *(f"cp125{page}" for page in range(9)),
    *("cp866", "koi8-r", "koi8-u", "mac-roman", "tis-620"),
    *(f"iso8859-{part}" for part in (2, 5, 7, 15)),
    *("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949"),
)
_PYTHON_NAMES = {"tis-620": "cp874", "euc_jis_2004": "euc_jp", "iso8859-1": "cp1252"}  # the larger of two alike
_SAMPLE_BYTES = 65_536
_CENTRAL_EUROPE = ("cp1250", "iso8859-2")
_AS_LIKELY = 0.8
_FEW_BYTES = 16  # beyond ASCII: of 526 texts with fewer, 7 were named wrongly; of 1,070 others, 2
_PAIRS = re.compile(r"(?<=[A-Za-z])[^\W\d_a-zA-Z\u0080-\u024f]|[^\W\d_a-zA-Z\u0080-\u024f](?=[A-Za-z])")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text with single line feeds at its line ends and without a byte order mark."""

    text: str
    encoding: str  # Python's name
    is_doubtful: bool = False  # guessed from too few characters to be sure


def decode(data: bytes) -> Decoded:
    """The text of a whole file. Nothing is refused: bytes that fit no encoding become U+FFFD."""
    text, encoding, is_doubtful = _decode(data, is_whole=True)
    return Decoded(text.replace("\r\n", "\n").replace("\r", "\n"), encoding, is_doubtful)


def looks_like_text(head: bytes) -> bool:
    """Whether the beginning of a file is text: next to no control characters once it is decoded."""
    text, encoding, _ = _decode(head, is_whole=False)
    if encoding == "utf-8" or head.startswith(tuple(mark for mark, _ in _MARKS)):
        return len(_CONTROL.findall(text)) <= len(text) // 1000  # a stray one does occur
    # a guess must be clean, or any table of small numbers would be UTF-16
    return all(char in "\t\n\r\f\x1b" or _is_in_use(char) for char in text)


def clean(text: str) -> str:
    """Text that every store takes: no control characters, no half of a surrogate pair."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decode(data: bytes, *, is_whole: bool) -> tuple[str, str, bool]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), encoding, False
    if 0 in data and (wide := _utf16(data)):
        return *wide, False
    try:
        # a head may end in the middle of a character
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=is_whole)
    except UnicodeDecodeError:
        damaged = data.decode("utf-8", "replace")
    else:
        if _ISO_2022_JP.search(data) and (japanese := _strictly(data, "iso2022_jp_2")) is not None:
            return japanese, "iso2022_jp", False  # it is ASCII with escapes, as mails once were
        return text, "utf-8", False
    # hardly any old text happens to hold valid UTF-8 beyond ASCII: some broken bytes among many good ones are damage
    if sum(char > "\x7f" for char in damaged) > 10 * damaged.count("\ufffd"):
        return damaged, "utf-8", False
    return _guess(data, is_whole=is_whole)


def _guess(data: bytes, *, is_whole: bool) -> tuple[str, str, bool]:
    """The best by statistics. One that mixes scripts within words (`perchи`) goes behind one that does not."""
    import chardet

    # lines of ASCII say nothing, and may fill the whole beginning of a file
    sample = b"\n".join(line for line in data.split(b"\n") if not line.isascii())[:_SAMPLE_BYTES]
    found = chardet.detect_all(
        sample, ignore_threshold=True, include_encodings=_CANDIDATES, compat_names=False, no_match_encoding="cp1252"
    )
    ranked = {
        _PYTHON_NAMES.get(each["encoding"], each["encoding"]): each["confidence"] for each in found if each["encoding"]
    }
    ranked = ranked or {"cp1252": 0.0}  # it looks binary
    best = next((name for name in ranked if not _mixes_scripts(sample, name)), next(iter(ranked)))
    is_western = ranked.get("cp1252", 0) > _AS_LIKELY * ranked[best] and best in _CENTRAL_EUROPE
    if is_western or sample.decode("cp1252", "replace") == sample.decode(best, "replace"):
        best = "cp1252"  # what more files have, where it is about as likely or makes no difference
    is_doubtful = sum(byte > 0x7F for byte in sample) < _FEW_BYTES
    return codecs.getincrementaldecoder(best)("replace").decode(data, is_whole), best, is_doubtful


def _mixes_scripts(sample: bytes, encoding: str) -> bool:
    """Whether most letters of another script than Latin touch a Latin one, which no language does."""
    text = sample.decode(encoding, "replace")
    others = sum(char.isalpha() and not unicodedata.name(char, "").startswith("LATIN") for char in text)
    return 0 < others < 2 * len(_PAIRS.findall(text))


def _utf16(data: bytes) -> tuple[str, str] | None:
    """As UTF-16 without a mark, if it reads as text in one of the two orders of bytes."""
    found = []
    for encoding in ("utf-16-le", "utf-16-be"):
        text = codecs.getincrementaldecoder(encoding)("replace").decode(data)
        strange = sum(not (char in "\t\n\r\f" or _is_in_use(char)) for char in text[:_SAMPLE_BYTES])
        common = sum(char in "\n \u3000" or char.isalpha() for char in text[:_SAMPLE_BYTES])
        if strange <= len(text) // 1000:
            # in the wrong order an ASCII letter is a rare Chinese one, and a line feed is no character at all
            found.append((text.count("\n"), sum(char < "\u0250" for char in text), common, text, encoding))
    return max(found)[-2:] if found else None


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None


def _is_in_use(char: str) -> bool:
    """Whether a character means something: no control, no surrogate, none for private use or unassigned."""
    return unicodedata.category(char) not in ("Cc", "Cs", "Co", "Cn")
