"""`doctor`: look at the installation, the collection and the servers, and say what to do about what is wrong."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli.console import out, print_json
from vlm2vec_rag.cli.options import DEFAULT_FOLDER, LibraryOptions, with_options

if TYPE_CHECKING:
    from vlm2vec_rag.doctor import Check

_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}


@with_options
def doctor_command(
    which: LibraryOptions,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder", help="A server with /v1/embeddings: compare its vectors with the model's here (VLM2VEC_TOKEN)."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Check versions, device, disks, vectors, the collection and the servers; exit status 1 where one is broken."""
    from vlm2vec_rag.doctor import verdict, worst

    done: list[Check] = []
    for check in _checks(which, encoder):
        done.append(check)
        if not as_json:
            _show(check)
    state, says = worst(done), verdict(done)
    if as_json:
        print_json({"state": state, "verdict": says, "checks": [dataclasses.asdict(check) for check in done]})
    else:
        out.print(f"[bold {_COLOURS[state]}]{escape(says)}[/]")
    raise typer.Exit(1 if state == "fault" else 0)


def _checks(which: LibraryOptions, encoder: str | None) -> Iterator[Check]:
    from vlm2vec_rag.doctor import Check, check_machine, check_place

    yield from check_machine(device=which.device, dtype=which.dtype)
    if which.qdrant is None and which.collection == DEFAULT_FOLDER and not DEFAULT_FOLDER.exists():
        yield Check(name="collection", got=f"none at {DEFAULT_FOLDER} so far; make one with: vlm2vec-rag index PATH...")
    else:
        yield from check_place(which.place, which.name)
    if encoder is not None:
        yield from _encoder_checks(which, encoder)


def _encoder_checks(which: LibraryOptions, address: str) -> Iterable[Check]:
    """Compare a server with the model that is named, or the one that built the collection, or nano."""
    from vlm2vec_rag.doctor import check_encoder_server
    from vlm2vec_rag.encoder.names import NANO
    from vlm2vec_rag.encoder.shared import shared_encoder

    token = os.environ.get("VLM2VEC_TOKEN") or None
    has_collection = which.qdrant is not None or which.collection.exists()
    if which.model is None and which.adapter is None and has_collection:
        with which.open() as library:
            if library.encoder is not None:
                return list(check_encoder_server(address, library.encoder, token=token))
    model = NANO if which.model is None and which.adapter is None else which.model
    local = shared_encoder(model=model, adapter=which.adapter, device=which.device, dtype=which.dtype)
    return check_encoder_server(address, local, token=token)


def _show(check: Check) -> None:
    out.print(f"[{_COLOURS[check.state]}]{check.state:<8}[/] [bold]{escape(check.name)}[/]: {escape(check.got)}")
    if check.expected and check.state != "ok":
        out.print(f"         expected: {escape(check.expected)}")
    if check.next_step:
        out.print(f"         next: {escape(check.next_step)}")
