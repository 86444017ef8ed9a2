"""The commands, and the one place where errors become lines on the terminal."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

import vlm2vec_rag
from vlm2vec_rag.cli import (
    ask,
    classify,
    demo,
    doctor,
    evaluate,
    highlights,
    index,
    manage,
    mcp,
    models,
    search,
    serve,
    watch,
)
from vlm2vec_rag.cli.console import Notes, SafeFormatter, complain
from vlm2vec_rag.errors import EmptyInput, InvalidInput, VlmRagError
from vlm2vec_rag.interrupts import Group, handled

app = typer.Typer(
    name="vlm2vec-rag",
    help="Index PDFs, images and videos, and find the page, the image, the second.",
    no_args_is_help=True,
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("index")(index.index_command)
app.command("watch")(watch.watch_command)
app.command("search")(search.search_command)
app.command("ask")(ask.ask_command)
app.command("highlights")(highlights.highlights_command)
app.command("classify")(classify.classify_command)
app.command("list")(manage.list_command)
app.command("remove")(manage.remove_command)
app.command("info")(manage.info_command)
app.command("reindex")(index.reindex_command)
app.command("copy")(manage.copy_command)
app.command("repair")(manage.repair_command)
app.command("doctor")(doctor.doctor_command)
app.command("models")(models.models_command)
app.command("demo")(demo.demo_command)
app.command("serve")(serve.serve_command)
app.command("mcp")(mcp.mcp_command)
app.command("eval")(evaluate.eval_command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vlm2vec-rag {vlm2vec_rag.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is going on, step by step.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    shown = logging.StreamHandler()
    shown.setFormatter(SafeFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[shown])
    told = logging.getLogger("vlm2vec_rag.library")
    told.setLevel(logging.INFO)
    told.propagate = verbose
    if not verbose and not told.handlers:
        told.addHandler(Notes())
    if not verbose:
        # their warnings speak to developers of models
        for name in ("transformers", "huggingface_hub", "httpx"):
            logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    """Run the command line.

    Exit status: 0 done, 1 something went wrong (a file failed, a place cannot be opened), 2 it was called in a way that
    makes no sense, 130 interrupted (143 by SIGTERM).
    """
    try:
        with handled():
            app()
    except (EmptyInput, InvalidInput) as error:
        complain(str(error))
        sys.exit(2)
    except VlmRagError as error:
        complain(str(error))
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output, such as `head`, went away
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a path that cannot be written to, a folder where a file is expected
        if logging.getLogger().isEnabledFor(logging.INFO):  # --verbose
            raise
        complain(f"{error}; check the path, its permissions and the room on its disk")
        sys.exit(1)
