"""Office documents, e-books and drawings as PDF files, so that their slides, sheets and pages are pages.

Each is converted once, on a copy, in a process of its own with limits on memory, time and file size; on Linux without a
network, where that may be had. LibreOffice makes slides, texts and sheets readable: with a fresh profile, macros, links
and active content off, and a proxy that leads nowhere. PyMuPDF does so for e-books, comics, XPS and SVG. The PDF is
then read as any other, in the process that reads untrusted files.

Speaker notes come as pages behind the slides, one each, so of 2 n pages the last n are the notes of the first.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.spawn import get_executable
from pathlib import Path

from vlm2vec_rag.disk import check_room, is_full
from vlm2vec_rag.errors import MediaLimit, ReaderClosed, UnreadableMedia, UnsupportedMedia
from vlm2vec_rag.media.settings import MediaLimits, has_pymupdf
from vlm2vec_rag.media.sniff import Sniffed

_FILTERS = {
    **dict.fromkeys(("pptx", "ppt", "odp"), "impress_pdf_Export"),
    **dict.fromkeys(("docx", "doc", "odt", "rtf"), "writer_pdf_Export"),
    **dict.fromkeys(("xlsx", "xls", "ods"), "calc_pdf_Export"),
}
_SLIDES = ("pptx", "ppt", "odp")
_PACKAGES = {"impress_pdf_Export": "impress", "writer_pdf_Export": "writer", "calc_pdf_Export": "calc"}
BOOKS = {
    "epub": "an EPUB book",
    "mobi": "a Mobipocket book",
    "fb2": "a FictionBook",
    "cbz": "a comic book archive",
    "xps": "an XPS document",
    "svg": "an SVG drawing",
}
# the outline is lost on the way, and set again
_BY_PYMUPDF = """
import sys
sys.path[:] = sys.argv[4:]
import pymupdf
pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)
source = pymupdf.open(sys.argv[1], filetype=sys.argv[2])
if source.needs_pass:
    sys.exit("it needs a password")
made = pymupdf.open("pdf", source.convert_to_pdf())
made.set_toc([[level, title, page] for level, title, page, *_ in source.get_toc() if 1 <= page <= made.page_count])
made.save(sys.argv[3])
"""
_PROGRAMS = ("soffice", "libreoffice")
_MAC_PROGRAM = "/Applications/LibreOffice.app/Contents/MacOS/soffice"
_PDF_BYTES = 4 * 2**30  # largest file that LibreOffice may write
_SPARE_BYTES = 2**20  # with less, a PDF that is not there was not made for want of room
_MOST_KEPT = 64  # converted documents
_RESTARTS = 81  # exit code: a new profile was made, run me again

# macros and active content never run, links are never followed, nothing is looked up or updated
_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
{items}
</oor:items>
"""
_ITEM = (
    '<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
)
_SETTINGS = (
    ("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Office.Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Office.Common/Security/Scripting", "DisableOLEAutomation", "true"),
    ("Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Office.Writer/Content/Update", "Link", "0"),
    ("Office.Calc/Content/Update", "Link", "2"),
    ("Office.Common/Save/Document", "AutoSave", "false"),
    ("Inet/Settings", "ooInetProxyType", "2"),
    ("Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
    ("Inet/Settings", "ooInetHTTPProxyPort", "9"),
    ("Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
    ("Inet/Settings", "ooInetHTTPSProxyPort", "9"),
)


@dataclass(frozen=True, slots=True)
class Converted:
    """A document as a PDF file."""

    pdf: Path
    format: str
    has_notes: bool  # the second half of its pages are the notes of the first


class Converter:
    """Converts documents, and keeps the latest of them until it is closed. Not for use from several threads."""

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None  # that converts at this moment
        self._is_cancelled = False
        self._kept: OrderedDict[tuple[str, int, int], Converted] = OrderedDict()

    def pdf_of(self, path: str, sniffed: Sniffed) -> Converted:
        """A document as a PDF file.

        Raises:
            UnsupportedMedia: LibreOffice or PyMuPDF is not installed.
            UnreadableMedia: It cannot read the document.
            MediaLimit: It takes too long, or the document is too large.
            ReaderClosed: Another thread cancelled it.
        """
        status = os.stat(path)  # noqa: PTH116
        key = (path, status.st_size, status.st_mtime_ns)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if status.st_size > self._limits.file_bytes:
            raise MediaLimit(f"{path}: has {status.st_size} bytes, over limits.file_bytes; split it or raise the limit")
        converted = self._convert(path, sniffed.format)
        self._kept[key] = converted
        while len(self._kept) > _MOST_KEPT:
            _, oldest = self._kept.popitem(last=False)
            shutil.rmtree(oldest.pdf.parent, ignore_errors=True)
        return converted

    def cancel(self) -> None:
        """End the conversion that another thread waits for, which raises ReaderClosed there."""
        self._is_cancelled = True
        if (process := self._process) is not None:
            _kill(process)

    def close(self) -> None:
        """Remove all that was converted."""
        folder, self._folder = self._folder, None
        self._kept.clear()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _convert(self, path: str, document_format: str) -> Converted:
        is_book = document_format in BOOKS
        program = _python_with_pymupdf(path, document_format) if is_book else _find_libreoffice(path, document_format)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vlm2vec-rag-documents-"))
            profile = self._folder / "profile" / "user"
            profile.mkdir(parents=True)
            items = "\n".join(_ITEM.format(path=at, name=name, value=value) for at, name, value in _SETTINGS)
            (profile / "registrymodifications.xcu").write_text(_PROFILE.format(items=items))
        work = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            # a copy: LibreOffice puts a lock file beside what it opens, and trusts a name before the content
            document = work / f"document.{document_format}"
            shutil.copyfile(path, document)
            pdf = document.with_suffix(".pdf")
            if is_book:
                command = [program, "-I", "-c", _BY_PYMUPDF, str(document), document_format, str(pdf), *sys.path]
            else:
                command = self._libreoffice(program, document)
            said = self._run(path, command, pdf)
            document.unlink(missing_ok=True)
            if not pdf.is_file() or not pdf.stat().st_size:
                check_room(work, _SPARE_BYTES, "convert documents")
                reader = "PyMuPDF" if is_book else "LibreOffice"
                raise UnreadableMedia(
                    f"{path}: {reader} cannot read it ({said or 'it says nothing'}); it may be broken or need a "
                    "password: open it, save it anew without one, or export it to PDF"
                )
        except BaseException as error:
            is_full_disk = not isinstance(error, KeyboardInterrupt) and is_full(error, work)
            shutil.rmtree(work, ignore_errors=True)
            if is_full_disk:
                raise MediaLimit(
                    f"{path}: there is no room in {tempfile.gettempdir()} to convert it; make room there, or set "
                    "TMPDIR to a folder on another disk"
                ) from error
            raise
        return Converted(pdf, document_format, document_format in _SLIDES)

    def _libreoffice(self, program: str, document: Path) -> list[str]:
        assert self._folder is not None  # noqa: S101  made by the caller
        options = ["ExportBookmarks"]
        if document.suffix[1:] in _SLIDES:
            options += ["ExportNotesPages", "ExportHiddenSlides"]
        typed = json.dumps({name: {"type": "boolean", "value": "true"} for name in options})
        return [
            *(program, f"-env:UserInstallation={(self._folder / 'profile').as_uri()}", "--headless", "--norestore"),
            *("--nologo", "--nodefault", "--nofirststartwizard", "--nolockcheck", "--convert-to"),
            *(f"pdf:{_FILTERS[document.suffix[1:]]}:{typed}", "--outdir", str(document.parent), str(document)),
        ]

    def _run(self, path: str, command: list[str], pdf: Path) -> str:
        """Run a program that makes the PDF. Returns the last line that it said."""
        limits = self._limits
        processor_s = int(limits.seconds_per_conversion * (os.cpu_count() or 1))
        confined = [
            *(sys.executable, "-I", str(Path(__file__).with_name("confined.py"))),
            *(str(limits.memory_bytes), str(_PDF_BYTES), str(max(processor_s, 1))),
            *command,
        ]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder), "LANG": "C.UTF-8"}
        environment |= {"SAL_USE_VCLPLUGIN": "svp", "TMPDIR": str(pdf.parent)}
        environment |= dict.fromkeys(("http_proxy", "https_proxy", "ftp_proxy"), "http://127.0.0.1:9")
        said = ""
        self._is_cancelled = False
        for _ in range(2):  # the first run with a profile makes it, and may end with that
            process = subprocess.Popen(  # noqa: S603  no shell
                confined,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            self._process = process
            try:
                output, _ = process.communicate(timeout=limits.seconds_per_conversion)
            except subprocess.TimeoutExpired:
                raise MediaLimit(
                    f"{path}: takes longer than {limits.seconds_per_conversion:g} s to convert; "
                    "export it to PDF, or raise limits.seconds_per_conversion"
                ) from None
            finally:
                self._process = None
                _end(process)
            if self._is_cancelled:
                raise ReaderClosed("the reader was closed while it converted a document")
            lines = [line for line in output.decode(errors="replace").splitlines() if "javaldx" not in line]
            said = lines[-1].replace(str(pdf.parent), "").strip() if lines else ""
            if process.returncode != _RESTARTS and (process.returncode or pdf.exists()):
                break
        return said if process.returncode >= 0 else f"{signal.Signals(-process.returncode).name}: {said}".rstrip(": ")


def with_notes(text: str, words: Sequence[str]) -> str:
    """The words of a slide with its speaker notes behind them.

    Args:
        text: Of the slide.
        words: Of its page of notes, on which the slide is shown again, with its number.
    """
    shown = Counter(text.split())
    notes = []
    for word in words:
        if shown[word] > 0:
            shown[word] -= 1
        else:
            notes.append(word)
    if notes and notes[-1].isdecimal():
        notes.pop()
    return f"{text}\n\n{' '.join(notes)}" if notes else text


def find_program() -> str | None:
    """Where LibreOffice is on this machine, if it is."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    return found or (_MAC_PROGRAM if Path(_MAC_PROGRAM).exists() else None)


def _find_libreoffice(path: str, document_format: str) -> str:
    """LibreOffice on this machine.

    Raises:
        UnsupportedMedia: There is none; the message names the package to install.
    """
    found = find_program()
    if found is None:
        package = _PACKAGES[_FILTERS[document_format]]
        raise UnsupportedMedia(
            f"{path}: is an office document ({document_format}), which LibreOffice makes readable; install it (Debian "
            f"and Ubuntu: apt install libreoffice-{package}; others: libreoffice.org), or export the document to PDF"
        )
    # the script on PATH starts the program by way of another, which would outlive a kill
    binary = Path(found).resolve().with_name("soffice.bin")
    return str(binary) if binary.is_file() else found


def _python_with_pymupdf(path: str, document_format: str) -> str:
    """The interpreter, where PyMuPDF is installed beside it.

    Raises:
        UnsupportedMedia: It is not.
    """
    if not has_pymupdf():
        raise UnsupportedMedia(
            f"{path}: is {BOOKS[document_format]}, which PyMuPDF makes readable; run: pip install "
            "'vlm2vec-rag[pymupdf]' (AGPL-3.0 or commercial), or convert it to PDF"
        )
    return os.fsdecode(get_executable())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    _kill(process)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
