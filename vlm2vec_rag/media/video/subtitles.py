"""What is said while a clip runs: the cues of SRT, WebVTT, ASS and SSA."""

from __future__ import annotations

import html
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vlm2vec_rag.media.decode import clean

_TIME = r"(?:(\d+)\s*:\s*)?(\d{1,2})\s*:\s*(\d{2})(?:[.,:](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_ASS = re.compile(r"^[ \t\ufeff]*\[(?:Script Info|V4\+? Styles|Events)\]", re.IGNORECASE | re.MULTILINE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[^<>]*>|\{\\[^{}]*\}")  # <i>, <v Ann>, <00:01.000>, {\an8}
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0[^{}]*\}|$)", re.DOTALL)
_NO_CUE = re.compile(r"(?:NOTE|STYLE|REGION)\b")
_UNTOLD_S = 5.0  # that words stay on screen where a container does not say
_NEAR_S = 1.0  # from one cue of rolling captions to the next
_ROLLING = 0.3  # of the cues; where people only repeat themselves it is far less


@dataclass(frozen=True, slots=True)
class Cue:
    """Words and when they are shown."""

    start_s: float
    end_s: float
    text: str  # on one line


Shown = tuple[float, float, str]
"""(start_s, end_s, lines with markup): a cue as it is stored."""


def parse(text: str) -> list[Shown]:
    """The cues of a subtitle file in any of the formats, told by its content. What is no cue is passed over."""
    return _parse_ass(text) if _ASS.search(text) else _parse_lines(text)


def cues(shown: Iterable[Shown], origin_s: float = 0.0) -> tuple[Cue, ...]:
    """Words without markup, in order of time; of captions that roll, each phrase once and when it first appears.

    Args:
        shown: The cues as they are stored.
        origin_s: What their clock says when a player's is at 0.
    """
    ordered = sorted((start_s, end_s, _plain_lines(text)) for start_s, end_s, text in shown if end_s > start_s)
    ordered = [each for each in ordered if each[2]]
    kept = _unrolled(ordered)
    return tuple(Cue(start_s - origin_s, end_s - origin_s, " ".join(lines)) for start_s, end_s, lines in kept if lines)


def said(cues: Iterable[Cue], start_s: float, end_s: float) -> str:
    """What is shown at any time in `start_s <= time < end_s`, one cue a line; a line that repeats is kept once."""
    lines: list[str] = []
    for cue in cues:
        if cue.start_s < end_s and cue.end_s > start_s and (not lines or lines[-1] != cue.text):
            lines.append(cue.text)
    return "\n".join(lines)


def _parse_lines(text: str) -> list[Shown]:
    """SRT and WebVTT: whatever stands between one line of times and the head of the next is shown.

    So blank lines inside a cue survive. A paragraph that is a cue of its own with broken times, or a note, is left out.
    """
    lines = text.split("\n")
    times = [(index, match) for index, line in enumerate(lines) if "-->" in line and (match := _TIMING.match(line))]
    shown = []
    ends = [*(index for index, _ in times[1:]), len(lines)]
    for (index, match), after in zip(times, ends, strict=False):
        number = lines[index - 1].strip() if index else ""
        end = after - 1 if after < len(lines) and _is_head(lines, after - 1, number) else after
        paragraphs = re.split(r"\n[ \t]*\n", "\n".join(lines[index + 1 : end]))
        said_too = [each for each in paragraphs[1:] if not _NO_CUE.match(each) and not _is_broken_cue(each, number)]
        start_s, end_s = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
        shown.append((start_s, end_s, "\n".join(paragraphs[:1] + said_too)))
    return shown


def _is_head(lines: Sequence[str], index: int, number_before: str) -> bool:
    """Whether a line above a line of times is the number or name of that cue, and not the last words of the one before.

    It is where a blank line is above it, or where it counts on.
    """
    line = lines[index].strip()
    if not line or _TIMING.match(line):
        return False
    return not lines[index - 1].strip() or _counts_on(line, number_before)


def _is_broken_cue(paragraph: str, number_before: str) -> bool:
    first, _, rest = paragraph.strip().partition("\n")
    return bool(rest) and _counts_on(first.strip(), number_before)


def _counts_on(line: str, number_before: str) -> bool:
    return line.isdecimal() and number_before.isdecimal() and int(line) == int(number_before) + 1


def _parse_ass(text: str) -> list[Shown]:
    """By FFmpeg's reader, which knows the columns that a file names."""
    import av

    shown = []
    try:
        with av.open(io.BytesIO(text.encode()), format="ass") as container:
            for packet in container.demux(container.streams.subtitles[0]):
                shown += of_packet(packet)
    except av.error.FFmpegError:
        return shown
    return shown


def of_packet(packet: Any) -> list[Shown]:
    """The cues of a packet of a subtitle stream, by the clock of its container."""
    if not packet.size or packet.pts is None:
        return []
    start_s = float(packet.pts * packet.time_base)
    length_s = float(packet.duration * packet.time_base) if packet.duration else _UNTOLD_S
    found = []
    for subtitle in packet.decode():
        line = getattr(subtitle, "dialogue", b"") or getattr(subtitle, "text", b"")
        words = _DRAWING.sub("", line.decode("utf-8", "replace"))
        words = re.sub(r"\{[^{}]*\}", "", words).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
        found.append((start_s, start_s + length_s, words))
    return found


def _plain_lines(text: str) -> tuple[str, ...]:
    """Lines of words without markup."""
    lines = (" ".join(line.split()) for line in html.unescape(_TAG.sub("", clean(text))).split("\n"))
    return tuple(line for line in lines if line)


_Lines = tuple[float, float, tuple[str, ...]]


def _unrolled(shown: list[_Lines]) -> list[_Lines]:
    """Without what is still on screen from the cue before, where captions roll or grow word by word.

    Live captions and YouTube's own show the last line again above the new one, or a line again with one word more.
    """
    shown = [each for at, each in enumerate(shown) if at == 0 or each != shown[at - 1]]  # layers of ASS
    rests = [
        _new_lines(before[2], now[2]) if now[0] - before[1] < _NEAR_S else None
        for before, now in itertools.pairwise(shown)
    ]
    if sum(rest is not None for rest in rests) < _ROLLING * len(rests):
        return shown
    kept = shown[:1]
    for now, rest in zip(shown[1:], rests, strict=True):
        lines = now[2] if rest is None else rest
        if lines:
            kept.append((now[0], now[1], lines))
        elif now[1] > kept[-1][1]:
            kept[-1] = kept[-1][0], now[1], kept[-1][2]
    return kept


def _new_lines(before: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...] | None:
    """The lines that `now` has and `before` had not, where `now` begins with what `before` ends with; else None."""
    for count in range(min(len(before), len(now)), 0, -1):
        if before[-count:] == now[:count]:
            return now[count:]
        *same, last = before[-count:]
        if tuple(same) == now[: count - 1] and now[count - 1].startswith(last + " "):
            return now[count - 1].removeprefix(last).strip(), *now[count:]
    return None


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int((fraction or "0").ljust(3, "0")) / 1000
