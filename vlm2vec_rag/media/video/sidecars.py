"""Subtitle tracks of a video, and which one its words come from: files beside it by their names, tracks inside it."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm2vec_rag.media.sniff import SUPPORTED

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")

# ISO 639-1 with the codes of ISO 639-2 (terminology, then bibliography), from iso-codes by way of pycountry 26.2.16
_ISO_639 = (
    "aa/aar ab/abk ae/ave af/afr ak/aka am/amh an/arg ar/ara as/asm av/ava ay/aym az/aze ba/bak be/bel bg/bul bi/bis "
    "bm/bam bn/ben bo/bod/tib br/bre bs/bos ca/cat ce/che ch/cha co/cos cr/cre cs/ces/cze cu/chu cv/chv cy/cym/wel "
    "da/dan de/deu/ger dv/div dz/dzo ee/ewe el/ell/gre en/eng eo/epo es/spa et/est eu/eus/baq fa/fas/per ff/ful fi/fin "
    "fj/fij fo/fao fr/fra/fre fy/fry ga/gle gd/gla gl/glg gn/grn gu/guj gv/glv ha/hau he/heb hi/hin ho/hmo hr/hrv "
    "ht/hat hu/hun hy/hye/arm hz/her ia/ina id/ind ie/ile ig/ibo ii/iii ik/ipk io/ido is/isl/ice it/ita iu/iku ja/jpn "
    "jv/jav ka/kat/geo kg/kon ki/kik kj/kua kk/kaz kl/kal km/khm kn/kan ko/kor kr/kau ks/kas ku/kur kv/kom kw/cor "
    "ky/kir la/lat lb/ltz lg/lug li/lim ln/lin lo/lao lt/lit lu/lub lv/lav mg/mlg mh/mah mi/mri/mao mk/mkd/mac ml/mal "
    "mn/mon mr/mar ms/msa/may mt/mlt my/mya/bur na/nau nb/nob nd/nde ne/nep ng/ndo nl/nld/dut nn/nno no/nor nr/nbl "
    "nv/nav ny/nya oc/oci oj/oji om/orm or/ori os/oss pa/pan pi/pli pl/pol ps/pus pt/por qu/que rm/roh rn/run "
    "ro/ron/rum ru/rus rw/kin sa/san sc/srd sd/snd se/sme sg/sag sh/hbs si/sin sk/slk/slo sl/slv sm/smo sn/sna so/som "
    "sq/sqi/alb sr/srp ss/ssw st/sot su/sun sv/swe sw/swa ta/tam te/tel tg/tgk th/tha ti/tir tk/tuk tl/tgl tn/tsn "
    "to/ton tr/tur ts/tso tt/tat tw/twi ty/tah ug/uig uk/ukr ur/urd uz/uzb ve/ven vi/vie vo/vol wa/wln wo/wol xh/xho "
    "yi/yid yo/yor za/zha zh/zho/chi zu/zul"
)
_NAMES = (  # that people write in file names, and codes that are none
    "en/english de/german/deutsch fr/french/francais/français es/spanish/espanol/español/castellano/latino "
    "it/italian/italiano pt/portuguese/portugues/português/brazilian ru/russian/русский uk/ukrainian/українська "
    "pl/polish/polski cs/czech/cz nl/dutch/nederlands sv/swedish/svenska no/norwegian/norsk da/danish/dansk/dk "
    "fi/finnish/suomi el/greek hu/hungarian/magyar ro/romanian tr/turkish/türkçe ar/arabic he/hebrew/iw fa/persian "
    "hi/hindi th/thai vi/vietnamese/vn id/indonesian ja/japanese/jp/日本語 ko/korean/kr/한국어 "
    "zh/chinese/cn/chs/cht/cmn/yue/mandarin/cantonese/中文 bg/bulgarian hr/croatian sr/serbian sk/slovak ca/catalan"
)
_LANGUAGES = {
    code: row.split("/")[0] for table in (_ISO_639, _NAMES) for row in table.split() for code in row.split("/")
}
_FORCED = {"forced", "foreign", "signs"}
_HEARING = {"sdh", "cc", "hi", "hoh"}
_COMMENTARY = {"commentary", "comments"}
_SAY_NOTHING = {"default", "full", "orig", "original", "auto", "asr", "sub", "subs", "subtitle", "subtitles"}
_SEPARATORS = "._- (["


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of a subtitle track before it is read."""

    name: str  # of its file, or "inside the video"
    language: str = ""  # ISO 639-1 where it has a code there
    is_forced: bool = False  # only what is foreign in the film
    is_for_hard_of_hearing: bool = False
    is_commentary: bool = False
    is_inside: bool = False
    is_default: bool = False

    def rank(self, language: str) -> tuple[object, ...]:
        """Smaller is taken first, by somebody who reads `language`; a file of no named language is their own."""
        is_foreign = bool(language and self.language) and self.language != language
        return (
            self.is_forced,
            is_foreign,
            self.is_commentary,
            self.is_inside,
            not self.language if language else bool(self.language),
            self.is_for_hard_of_hearing,
            not self.is_default,
        )


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A subtitle file beside a video."""

    path: Path
    track: Track


def beside(video: Path) -> list[Sidecar]:
    """The subtitle files of a video, told by their names: `talk.srt`, `talk.en.vtt`, `Talk.pt-BR.forced.SRT`.

    What follows the video's own name must be languages, regions and words such as forced, sdh, cc; so `lecture.2.srt`
    is not of `lecture.mp4`. A file that fits the name of another video better is that one's.
    """
    try:
        neighbours = sorted(video.parent.iterdir())
    except OSError:
        return []
    others = [path.stem for path in neighbours if SUPPORTED.get(path.suffix.lower()) == "video"]
    found = []
    for path in neighbours:
        if path.suffix.lower() not in SUFFIXES:
            continue
        fit = _fit(video.stem, path)
        if fit is None or any((rival := _fit(stem, path)) is not None and rival > fit for stem in others):
            continue
        # a link could lead to any file of this machine, whose text would end up in a collection
        if path.is_symlink() or not path.is_file():
            continue
        found.append(Sidecar(path, _track(path.name, _rest(video.stem, path) or "")))
    return found


def is_named_after(sidecar: Path, videos: Iterable[str]) -> bool:
    """Whether a subtitle file is that of one of these videos, given by their names without suffixes."""
    return sidecar.suffix.lower() in SUFFIXES and any(_fit(stem, sidecar) is not None for stem in videos)


def inside(stream: Any) -> Track:
    """A subtitle stream of PyAV's, by what the container says of it and by its title."""
    from av.stream import Disposition

    title, language, flags = stream.metadata.get("title", ""), stream.metadata.get("language", ""), stream.disposition
    told = _track("", "." + ".".join(re.findall(r"\w+", title.lower())))
    code = _LANGUAGES.get(language.lower().split("-")[0], "")
    return Track(
        name="inside the video",
        language=code or told.language,
        is_forced=bool(flags & Disposition.forced) or told.is_forced,
        is_for_hard_of_hearing=bool(flags & Disposition.hearing_impaired) or told.is_for_hard_of_hearing,
        is_commentary=bool(flags & Disposition.comment) or told.is_commentary,
        is_inside=True,
        is_default=bool(flags & Disposition.default),
    )


def preferred_language(asked: str | None) -> str:
    """The language of the tracks to prefer: the one asked for, else that of this user's locale; may be empty."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    given = asked or next((os.environ[name] for name in names if os.environ.get(name)), "")
    return _LANGUAGES.get(re.split(r"[-_.@]", given.lower())[0], "")


def _fit(stem: str, sidecar: Path) -> tuple[int, bool] | None:
    """How well a video's name fits a subtitle file's: None not at all, else the longer, and of the same case, wins."""
    rest = _rest(stem, sidecar)
    if rest is None or not _are_tags(rest):
        return None
    return len(stem), sidecar.stem.startswith(stem)


def _rest(stem: str, sidecar: Path) -> str | None:
    """What stands behind a video's name in that of a subtitle file; names differ in case, and in how é is written."""
    own, name = _folded(stem), _folded(sidecar.stem)
    if not name.startswith(own):
        return None
    rest = name[len(own) :]
    return rest if not rest or rest[0] in _SEPARATORS else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _are_tags(rest: str) -> bool:
    has_language = False
    for tag in _split(rest):
        if _language(tag):
            has_language = True
        # `talk.en.2.srt` is the second track of a language, but `talk.2.srt` that of another talk
        elif tag not in _FORCED | _HEARING | _COMMENTARY | _SAY_NOTHING and not (has_language and tag.isdecimal()):
            return False
    return True


def _track(name: str, rest: str) -> Track:
    tags = _split(rest)
    languages = [tag for tag in tags if _language(tag)]
    if len(languages) > 1 and "hi" in languages[1:]:  # Hindi by itself, hearing impaired behind a language
        languages.remove("hi")
        hearing = True
    else:
        hearing = any(tag in _HEARING - {"hi"} for tag in tags)
    return Track(
        name=name,
        language=_language(languages[0]) if languages else "",
        is_forced=any(tag in _FORCED for tag in tags),
        is_for_hard_of_hearing=hearing,
        is_commentary=any(tag in _COMMENTARY for tag in tags),
    )


def _split(rest: str) -> list[str]:
    """`.pt-BR.forced` as `pt-br`, `forced`; `en_forced` as `en`, `forced`."""
    tags = [tag for tag in re.split(r"[. ()\[\]]+", rest.lower().strip(_SEPARATORS + ")]")) if tag]
    words = _FORCED | _HEARING | _COMMENTARY
    parts = [(tag, re.split(r"[-_]", tag)) for tag in tags]
    return [each for tag, split in parts for each in (split if words & set(split) else [tag])]


def _language(tag: str) -> str:
    """ISO 639-1 of `en`, `eng`, `english`, `pt-BR`, `zh_Hans-CN`, `es-419`, `en-orig`; nothing for other words."""
    first, *subtags = re.split(r"[-_]", tag)
    return _LANGUAGES.get(first, "") if all(re.fullmatch(r"[a-z0-9]{2,8}", each) for each in subtags) else ""
