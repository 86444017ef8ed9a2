"""Text, Markdown, HTML and CSV files as Text items: passages that end where paragraphs and sentences do."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vlm2vec_rag.errors import MediaLimit, UnreadableMedia
from vlm2vec_rag.items import Text
from vlm2vec_rag.media.decode import decode
from vlm2vec_rag.media.front_matter import front_matter
from vlm2vec_rag.media.html import decode_html, html_to_markdown
from vlm2vec_rag.media.notes import note
from vlm2vec_rag.media.settings import MediaInfo, MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import Sniffed

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_BLANKS = re.compile(r"\s*")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*")
# where to cut a paragraph that is too long, best first: sentences (of Chinese and Japanese too), lines, words
_BREAKS = (re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]\s*"), re.compile(r"\n"), re.compile(r"\s+"))


class TextFile:
    """A text file, in passages. Of a web page they are passages of its words as Markdown."""

    def __init__(self, path: str, sniffed: Sniffed, settings: MediaSettings, limits: MediaLimits) -> None:
        if sniffed.size_bytes > limits.text_bytes:
            raise MediaLimit(
                f"{path}: has {sniffed.size_bytes} bytes, the limit for text is {limits.text_bytes}; "
                "split it or raise limits.text_bytes"
            )
        self._path, self._format = path, sniffed.format
        data = Path(path).read_bytes()
        decoded = decode_html(data) if sniffed.format == "html" else decode(data)
        if decoded.is_doubtful:
            note(f"read as {decoded.encoding}, a guess from few characters; save it as UTF-8 to be sure")
        text, fields = decoded.text, dict[str, object]()
        match sniffed.format:
            case "markdown":
                fields, begin = front_matter(text)
                title = str(fields.get("title", ""))
                if text[begin:].strip():
                    sections = markdown_sections(text, begin, title)
                else:  # nothing but fields are the text themselves
                    sections = [Section(title, 0, len(text))]
            case "html":
                title, text = html_to_markdown(text)
                sections = markdown_sections(text, 0, title)
            case "csv":
                sections = csv_sections(text, settings.text_chars)
            case _:
                sections = [Section("", 0, len(text))]
        self._metadata = {**fields, "encoding": decoded.encoding}
        self._passages = [
            (section.title, start, text[start:end])
            for section in sections
            for start, end in passages(text, section.start, section.end, settings.text_chars)
        ]
        if not self._passages:
            raise UnreadableMedia(f"{path}: holds only white space; leave it out")

    def info(self) -> MediaInfo:
        return MediaInfo(kind="text", format=self._format, items=len(self._passages))

    def item(self, index: int) -> Text:
        title, start, text = self._passages[index]
        return Text(text=text, source=self._path, title=title, start_char=start, metadata=self._metadata)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a file under one heading; the title is the path of headings, such as `Usage › Install`."""

    title: str
    start: int
    end: int


def markdown_sections(text: str, begin: int = 0, document_title: str = "") -> list[Section]:
    """Cut at headings (`#` and underlined ones), which stay with their section; code blocks hold no headings.

    Args:
        text: Of a whole file.
        begin: Where its front matter ends.
        document_title: Stands above all headings, unless the first heading says the same.
    """
    sections: list[Section] = []
    path: list[tuple[int, str]] = [(0, document_title)] if document_title else []
    fence = ""
    previous_start, previous = begin, ""
    position = begin
    for line in text[begin:].splitlines(keepends=True):
        bare = line.rstrip("\n")
        heading: tuple[int, int, str] | None = None  # where it starts, its level, its words
        if match := _FENCE.match(bare):
            if not fence:
                fence = match[1]
            elif match[1].startswith(fence) and not bare.strip().strip(fence[0]):
                fence = ""
        elif not fence:
            if match := _HEADING.match(bare):
                heading = position, len(match[1]), _without_closing_marks(match[2])
            elif (match := _UNDERLINE.match(bare)) and _can_be_underlined(previous):
                heading = previous_start, 1 if match[1][0] == "=" else 2, previous.strip()
        if heading is not None:
            start, level, words = heading
            sections.append(Section(_title(path), begin, start))
            path = [above for above in path if above[0] < level and above != (0, words)] + [(level, words)]
            begin = start
        previous_start, previous = position, bare if heading is None else ""
        position += len(line)
    sections.append(Section(_title(path), begin, len(text)))
    return sections


def csv_sections(text: str, chars: int) -> list[Section]:
    """Rows of a table in stretches of at most `chars` characters, cut between rows; the title is the first row."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return []
    separator = max(",;\t|", key=lines[0].count)
    header = next(csv.reader([lines[0]], delimiter=separator), [])
    title = " · ".join(cell.strip() for cell in header if cell.strip())
    sections: list[Section] = []
    begin = end = position = len(lines[0])
    quotes = 0
    for line in lines[1:]:
        position += len(line)
        quotes += line.count('"')
        if quotes % 2 and position - end < chars:
            continue  # within a quoted cell
        if position - begin > chars and end > begin:
            sections.append(Section(title, begin, end))
            begin = end
        end, quotes = position, 0
    sections.append(Section(title, begin, len(text)))
    return sections if len(lines) > 1 else [Section(title, 0, len(text))]


def passages(text: str, start: int, end: int, chars: int) -> Iterator[tuple[int, int]]:
    """(start, end) of passages of at most `chars` characters between two places, blanks at their ends left out.

    Paragraphs are put together while they fit. One that is longer by itself is cut after a sentence, a line or a word.
    """
    begin: int | None = None
    stop = start
    for first, last in _paragraphs(text, start, end):
        if begin is not None and last - begin <= chars:
            stop = last
            continue
        if begin is not None:
            yield begin, stop
        begin, stop = first, last
        while stop - begin > chars:
            cut = _cut(text, begin, begin + chars)
            yield from _trimmed(text, begin, cut)
            begin = _after_blanks(text, cut, stop)
    if begin is not None:
        yield begin, stop


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _PARAGRAPH_END.finditer(text, start, end):
        yield from _trimmed(text, start, match.start())
        start = match.end()
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    part = text[start:end]
    if bare := part.strip():
        start += len(part) - len(part.lstrip())
        yield start, start + len(bare)


def _after_blanks(text: str, start: int, end: int) -> int:
    match = _BLANKS.match(text, start, end)
    return match.end() if match else start


def _cut(text: str, start: int, end: int) -> int:
    """The best place to cut before `end`, in the second half of the stretch where there is one."""
    for pattern in _BREAKS:
        places = [match.end() for match in pattern.finditer(text, start + (end - start) // 2, end)]
        if places:
            return places[-1]
    return end


def _without_closing_marks(words: str) -> str:
    """`Install` of `Install ##`, but all of `C#`."""
    bare = words.rstrip().rstrip("#")
    return bare.rstrip() if bare.endswith((" ", "\t")) or not bare else words.rstrip()


def _can_be_underlined(line: str) -> bool:
    return bool(line.strip()) and not re.match(r" {0,3}(?:[-*+>|]|\d+[.)]|#)|    |\t", line)


def _title(path: list[tuple[int, str]]) -> str:
    return " › ".join(words for _, words in path if words)
