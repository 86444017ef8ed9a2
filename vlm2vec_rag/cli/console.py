"""What the commands print: tables, progress, one-line notes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from vlm2vec_rag.terminal import counted, displayable

if TYPE_CHECKING:
    from vlm2vec_rag.items import Hit
    from vlm2vec_rag.library import IndexReport


class SafeConsole(Console):
    """A console on which text only shows itself: control characters in it are printed as their escapes.

    Names, titles, words and errors come from files that anybody may have made.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `rich.console.Console`; all that is printed comes through here, tables and progress bars too."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=displayable(segment.text))


class SafeFormatter(logging.Formatter):
    """The same for what is logged."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return displayable(super().format(record))


out = SafeConsole(highlight=False, soft_wrap=True)
err = SafeConsole(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """One line of JSON on stdout; what a terminal would act on is written as JSON's own escapes."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    typer.echo(re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", _json_escape, text))


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def note(text: str) -> None:
    """One line beside the results."""
    err.print(f"[dim]{escape(text)}[/dim]")


class Notes(logging.Handler):
    """Shows what the library logs of its choices, such as which model it took, as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        note(record.getMessage())


def complain(text: str) -> None:
    """One line on what went wrong and what to do."""
    err.print(f"[bold red]error:[/bold red] {escape(text)}")


def printable(text: str) -> str:
    """Words of a file or a model without control characters, which belong to no word."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


def short(path: str) -> str:
    """A path as seen from here, where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return relative if len(relative) < len(path) else path


def print_hits(hits: Iterable[Hit], question: str = "") -> None:
    """Hits one below the other: the place, which opens where the terminal follows links, and what is written there."""
    for rank, hit in enumerate(hits, start=1):
        source, mark, fragment = hit.place.partition("#")
        label = f" (p. {hit.label})" if hit.label and hit.label != str(hit.page) else ""
        place = Text(short(source), style="bold").append(mark + fragment + label, style="not bold")
        if Path(source).is_absolute():
            place.stylize(Style(link=Path(source).as_uri() + mark + fragment))
        out.print(Text(f"{rank:>2}  ", style="dim") + place)
        words = printable(hit.snippet(max(60, out.width - 4), question) or hit.title)
        if words:
            out.print(f"    {escape(words)}")


_MOST_NOTES = 20


_OCR_READS = ": --ocr auto reads them, with pip install 'vlm2vec-rag\\[ocr]'"


def print_report(report: IndexReport, *, with_vectors: bool) -> None:
    """What an indexing run did, every failed file with its reason."""
    kinds = " · ".join(counted(count, kind) for kind, count in sorted((report.encoded + report.reused).items()))
    parts = [
        counted(report.indexed, "file") + " indexed" + (f" ({kinds})" if kinds else ""),
        f"{report.unchanged} unchanged",
    ]
    if report.reused and with_vectors:
        parts.append(f"{report.reused.total()} items kept their vector")
    if report.removed:
        parts.append(f"{len(report.removed)} removed")
    if report.failures:
        parts.append(f"[red]{len(report.failures)} failed[/red]")
    err.print(f"{', '.join(parts)} in {report.seconds:.1f} s")
    for failure in report.failures:
        err.print(f"  [red]{escape(short(failure.source))}[/red]: {escape(failure.reason)}")
    for told in report.notes[:_MOST_NOTES]:
        err.print(f"  [yellow]{escape(short(told.source))}[/yellow] {escape(told.text)}")
    if len(report.notes) > _MOST_NOTES:
        err.print(f"  [yellow]and {counted(len(report.notes) - _MOST_NOTES, 'more note')} on other files[/yellow]")
    if report.language:
        err.print(f"[dim]language: {report.language}; --language says otherwise[/dim]")
    if report.pages_with_broken_text:
        read = "OCR read their pixels" if report.has_ocr else f"left out{_OCR_READS}"
        err.print(f"[dim]{counted(report.pages_with_broken_text, 'text layer')} of pages say nothing: {read}[/dim]")
    if report.pages_without_words:
        pages = counted(report.pages_without_words, "page")
        have = "has" if report.pages_without_words == 1 else "have"
        err.print(f"[dim]{pages} {have} no words{'' if report.has_ocr else _OCR_READS}[/dim]")
    if report.passed_over.kinds:
        total = report.passed_over.kinds.total()
        why = "name one outright to hear why" if total > 1 else "name it outright to hear why"
        err.print(f"[dim]{escape(str(report.passed_over))} not read; {why}[/dim]")
    if report.gone:
        err.print(f"[dim]{len(report.gone)} indexed files are no longer there; --prune removes them:[/dim]")
        for source in report.gone[:5]:
            err.print(f"  [dim]{escape(short(source))}[/dim]")
