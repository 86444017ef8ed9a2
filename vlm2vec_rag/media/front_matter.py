"""Front matter of a Markdown file: the block of YAML (`---`) or TOML (`+++`) that opens it, as metadata.

What static site generators and note-taking programs (Jekyll, Hugo, Obsidian) write there: title, date, tags.
"""

from __future__ import annotations

import re
from datetime import date, time
from typing import Any

from vlm2vec_rag.media.decode import clean

_BLOCK = re.compile(r"\ufeff?(---|\+\+\+)[ \t]*\n(.*?\n)??(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"[\"']?([^\s:=#\"'\[\]{}-][^:=\n\"']{0,63}?)[\"']?[ \t]*[:=](?:[ \t]+(.*))?$")
_LISTS = ("tags", "tag", "keywords", "categories", "authors")
_MOST_CHARS = 65_536  # of a block; more is a text between two rules
_MOST_FIELDS = 50
_MOST_VALUE_CHARS = 1000


def front_matter(text: str) -> tuple[dict[str, object], int]:
    """The fields of the block that opens a text, and where the text itself begins; no fields and 0 without one.

    Values are strings, numbers, booleans, and lists of them; dates are strings in ISO 8601. What is nested deeper is
    left out. A block that is no valid YAML or TOML, such as one with a colon in a title, is read line by line.
    """
    match = _BLOCK.match(text, 0, _MOST_CHARS)
    if match is None:
        return {}, 0
    block = match[2] or ""
    first = next((line for line in block.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if not _FIELD.match(first) and not (first.startswith("[") and match[1] == "+++"):
        return {}, 0  # a rule above and a rule below some text
    fields = _parsed(block, match[1])
    if fields is None:
        found = [_FIELD.match(line) for line in block.splitlines()]
        fields = {each[1]: (each[2] or "").strip().strip("\"'") for each in found if each}
    named = [(str(name).strip().lower(), value) for name, value in list(fields.items())[:_MOST_FIELDS]]
    kept = {name: _plain(_split(value) if name in _LISTS else value) for name, value in named}
    return {name: value for name, value in kept.items() if value not in (None, "", [])}, match.end()


def _parsed(block: str, mark: str) -> dict[Any, Any] | None:
    if mark == "+++":
        try:
            import tomllib
        except ImportError:  # Python 3.10
            return None
        try:
            return tomllib.loads(block)
        except tomllib.TOMLDecodeError:
            return None
    import yaml

    try:
        found = yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):  # ValueError: 2026-02-30 is taken for a date
        return None
    return found if isinstance(found, dict) else None


def _split(value: object) -> object:
    """A list written as one string: `python, search` or, read line by line, `[python, search]`."""
    if not isinstance(value, str):
        return value
    return [each.strip().strip("\"'") for each in value.strip("[] ").split(",")]


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [each for each in map(_scalar, value[:_MOST_FIELDS]) if each not in (None, "")]
    return _scalar(value)


def _scalar(value: object) -> str | int | float | bool | None:
    if isinstance(value, str):
        return clean(value).strip()[:_MOST_VALUE_CHARS]
    if isinstance(value, date | time):
        return value.isoformat()
    return value if isinstance(value, bool | int | float) else None
