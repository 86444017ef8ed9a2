"""Run the Python blocks of pages as pasted, and see that their commands are understood, in this very environment.

    python tools/page_blocks.py README.md docs/langchain.md [--installed FOLDER]

The blocks run in their order, each from nothing as a file of its own would, and each must print something. All share
one process, so that the model is loaded once, and one folder that is empty at first, so that what a page indexes again
is there already. Commands (`$ vlm2vec-rag ...` in `console` blocks) are parsed by the program that they name, not run:
most of them ask for files of the reader's own.

Needs nothing but the package and what the blocks import. `tests/test_readme.py` and `tools/check_wheel.py` call it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = {"vlm2vec-rag": "vlm2vec_rag.cli.app", "vlm2vec-finetune": "vlm2vec_finetune.cli"}


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language in a Markdown page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The calls of our programs in a page's console blocks, each as its arguments."""
    found: list[list[str]] = []
    for line in "\n".join(blocks(page, "console")).splitlines():
        call: list[str] = []
        for word in shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else ():
            call.append(word.removesuffix(";"))
            if word.endswith(";"):
                found.append(call)
                call = []
        found.append(call)
    return [each for each in found if each and each[0] in PROGRAMS]


def parse(call: list[str]) -> None:
    """Have the program parse a call, without running it.

    Raises:
        Exception: click's, for a command, option or value that is not there.
    """
    import typer

    program = typer.main.get_command(importlib.import_module(PROGRAMS[call[0]]).app)
    outer = program.make_context(call[0], call[1:])
    given = [*getattr(outer, "_protected_args", getattr(outer, "protected_args", [])), *outer.args]
    name, command, rest = program.resolve_command(outer, given)  # type: ignore[attr-defined]
    command.make_context(name, rest, parent=outer)


def run(page: str, name: str) -> None:
    """Run a page's Python blocks here.

    Raises:
        SystemExit: A block failed, or printed nothing; it is shown.
    """
    for number, block in enumerate(blocks(page, "python"), start=1):
        printed, begin = io.StringIO(), time.monotonic()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(block, f"{name}, block {number}", "exec"), {"__name__": "__main__"})  # noqa: S102
        except BaseException:
            say(f"{name}, block {number} failed after printing {printed.getvalue()!r}:\n\n{block}")
            raise
        if not printed.getvalue().strip():
            raise SystemExit(f"{name}, block {number} printed nothing:\n\n{block}")
        say(f"{name}, block {number}: {time.monotonic() - begin:.1f} s, {len(printed.getvalue())} characters printed")


def say(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run and parse all that the pages show."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("pages", nargs="+", type=Path)
    asked.add_argument("--installed", type=Path, help="the package must come from here")
    given = asked.parse_args()
    pages = {path.name: path.read_text(encoding="utf-8") for path in given.pages}

    import langchain_vlm2vec
    import llama_index_vlm2vec
    import vlm2vec_finetune

    import vlm2vec_rag

    for package in (vlm2vec_rag, langchain_vlm2vec, llama_index_vlm2vec, vlm2vec_finetune):
        where = Path(package.__file__ or "")
        if given.installed and not where.is_relative_to(given.installed.resolve()):
            raise SystemExit(f"{package.__name__} was imported from {where} and not from {given.installed}")
    folder = tempfile.TemporaryDirectory(prefix="page-blocks-")
    os.chdir(folder.name)
    for name, page in pages.items():
        for call in commands(page):
            try:
                parse(call)
            except Exception as error:
                raise SystemExit(f"{name}: {shlex.join(call)} is not understood: {error}") from error
        run(page, name)
        say(f"{name}: {len(commands(page))} commands are understood, {len(blocks(page, 'python'))} blocks ran")
    os.chdir("/")
    folder.cleanup()


if __name__ == "__main__":
    main()
