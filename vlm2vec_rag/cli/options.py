"""Options that several commands share, each written once as a field, and the decorator that gives them to a command.

    @with_options
    def search_command(question: ..., which: LibraryOptions, filters: FilterOptions) -> None:
        with which.open() as library: ...

gives `search` every option of both groups.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import KINDS

if TYPE_CHECKING:
    from vlm2vec_rag.collection.filters import Filter
    from vlm2vec_rag.library import Library

DEFAULT_FOLDER = Path(".vlm2vec")

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Which collection, on a server."""

    qdrant: Annotated[
        str | None,
        typer.Option(
            "--qdrant", envvar="QDRANT_URL", help="A Qdrant server or cluster instead, key in QDRANT_API_KEY."
        ),
    ] = None
    name: Annotated[str, typer.Option("--name", help="Which collection at that place.")] = "default"


@dataclass(frozen=True, kw_only=True)
class SpreadOptions:
    """How a server keeps a new collection."""

    replicas: Annotated[
        int | None,
        typer.Option("--replicas", min=1, help="Copies on a cluster; 2 where it has three nodes or more."),
    ] = None
    shards: Annotated[
        int | None,
        typer.Option("--shards", min=1, help="Parts on a cluster; words are ranked within a part, so one is best."),
    ] = None
    index_field: Annotated[
        list[str] | None,
        typer.Option("--index-field", help="A metadata field to filter by, such as author or year=integer."),
    ] = None

    @property
    def spread(self) -> dict[str, Any]:
        """As arguments of `vr.open`."""
        from vlm2vec_rag.collection import Cluster

        asked = self.replicas is not None or self.shards is not None
        cluster = Cluster(shard_number=self.shards, replication_factor=self.replicas) if asked else None
        settings: dict[str, Any] = {"cluster": cluster, "indexed": self.index_field or None}
        return {name: value for name, value in settings.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class PlaceOptions(ServerOptions):
    """Where a collection is."""

    collection: Annotated[
        Path, typer.Option("--collection", "-c", envvar="VLM2VEC_COLLECTION", help="Folder of the collection.")
    ] = DEFAULT_FOLDER

    @property
    def place(self) -> str:
        """As `vr.open` takes it."""
        return self.qdrant or str(self.collection)

    def open(self, *, create: bool = False, **settings: Any) -> Library:
        """The library there; without `create` it must be there. What only lists or removes needs no model."""
        from vlm2vec_rag.library import open_library

        return open_library(self.place, name=self.name, create=create, **settings)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model, and what it runs on."""

    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Hub id or folder of the model, 'nano', or 'none' (words only).")
    ] = None
    adapter: Annotated[str | None, typer.Option("--adapter", help="A LoRA adapter to put on the model.")] = None
    device: Annotated[str | None, typer.Option("--device", help="cuda, mps or cpu; the best there is by default.")] = (
        None
    )
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")] = None

    @property
    def settings(self) -> dict[str, Any]:
        """As arguments of `vr.open`."""
        return {name: getattr(self, name) for name in ("model", "adapter", "device", "dtype")}

    def open_in_memory(self) -> Library:
        """A library that holds nothing, for what needs only the model and a reader."""
        from vlm2vec_rag.library import open_library

        return open_library(":memory:", **self.settings)


@dataclass(frozen=True, kw_only=True)
class LibraryOptions(PlaceOptions, ModelOptions):
    """A collection and the model to open it with."""

    def open(self, *, create: bool = False, **settings: Any) -> Library:
        """The library there, with the model asked for or the one that built it."""
        return super().open(create=create, **{**self.settings, **settings})


@dataclass(frozen=True, kw_only=True)
class BuildOptions(LibraryOptions, SpreadOptions):
    """The same with what a new collection is built with."""

    max_pixels: Annotated[
        int | None,
        typer.Option("--max-pixels", help="Budget of a page, image or frame; a collection keeps to its first one."),
    ] = None
    frames: Annotated[
        int | None, typer.Option("--frames", help="Frames of a clip; a collection keeps to its first number.")
    ] = None
    dim: Annotated[
        int | None,
        typer.Option("--dim", help="Numbers of a vector, where the model's can be cut; a collection keeps to its own."),
    ] = None

    @property
    def budget(self) -> dict[str, int | None]:
        """What a model encodes with, as arguments of `vr.open`."""
        return {"max_pixels": self.max_pixels, "frames": self.frames, "dim": self.dim}

    def open(self, *, create: bool = False, **settings: Any) -> Library:
        """The library there, made if need be."""
        return super().open(create=create, **{**self.budget, **settings})


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """Which items may be found."""

    kind: Annotated[list[str] | None, typer.Option("--kind", help=f"Only these kinds: {', '.join(KINDS)}.")] = None
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only this file, all below this folder/, or a pattern such as '*.pdf'."),
    ] = None
    pages: Annotated[str | None, typer.Option("--pages", help="Only these pages: 12 or 3-9 or 40-.")] = None
    time: Annotated[
        str | None, typer.Option("--time", help="Only clips in these seconds: 60-90, 300- or 1:00-1:30.")
    ] = None
    since: Annotated[
        str | None, typer.Option("--since", help="Only files written on this day or later: 2026-01-31.")
    ] = None
    until: Annotated[str | None, typer.Option("--until", help="Only files written on this day or earlier.")] = None

    def filter(self) -> Filter | None:
        """What the options let pass; None where none is given.

        Raises:
            InvalidInput: A value cannot be understood; the message names the option.
        """
        from vlm2vec_rag.library.asking import build_filter

        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        try:
            return build_filter(**{name: value for name, value in values.items() if value is not None})
        except InvalidInput as error:
            # the option, as it was typed, and not the argument
            is_named = str(error).startswith(tuple(f"{name} " for name in values))
            raise InvalidInput(f"--{error}" if is_named else str(error)) from None


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """What is asked with, besides words."""

    image: Annotated[Path | None, typer.Option("--image", help="Ask with an image, alone or beside the words.")] = None
    clip: Annotated[Path | None, typer.Option("--clip", help="Ask with a video, alone or beside the words.")] = None
    mode: Annotated[str, typer.Option("--mode", help="hybrid, dense (vectors) or bm25 (words).")] = "hybrid"
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Let the model compare what it cannot see; what it finds means little.")
    ] = False


GROUPS = (
    ServerOptions,
    SpreadOptions,
    PlaceOptions,
    ModelOptions,
    LibraryOptions,
    BuildOptions,
    FilterOptions,
    QuestionOptions,
)


def with_options(command: Command) -> Command:
    """Give a command the options of each group that one of its parameters is annotated with."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {name: hint for name, hint in hints.items() if hint in GROUPS}
    parameters = dict(_flat(inspect.signature(command).parameters, hints, groups))

    @functools.wraps(command)
    def with_groups(**values: Any) -> Any:
        for name, group in groups.items():
            fields = [each.name for each in dataclasses.fields(group)]
            values[name] = group(**{each: values.pop(each) for each in fields})
        return command(**values)

    with_groups.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    with_groups.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    return with_groups  # type: ignore[return-value]


def _flat(
    parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], groups: Mapping[str, type[Any]]
) -> Iterator[tuple[str, inspect.Parameter]]:
    """The parameters in their order, each group as its fields."""
    for name, parameter in parameters.items():
        if name not in groups:
            default = parameter.default
            yield name, parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY, default=default)
            continue
        fields = get_type_hints(groups[name], include_extras=True)
        for each in dataclasses.fields(groups[name]):
            yield (
                each.name,
                inspect.Parameter(
                    each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=fields[each.name]
                ),
            )
