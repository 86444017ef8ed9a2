"""The command line: download, pairs, mine, train, evaluate, export, merge."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from vlm2vec_rag.errors import InvalidInput, VlmRagError
from vlm2vec_rag.interrupts import Group, handled, seen

if TYPE_CHECKING:
    from vlm2vec_finetune.evaluate import Comparison
    from vlm2vec_finetune.mining import Search
    from vlm2vec_finetune.trainer import Outcome
    from vlm2vec_rag.encoder import Encoder

app = typer.Typer(
    name="vlm2vec-finetune",
    cls=Group,
    help="Train adapters for vlm2vec-rag on pairs of your own, and prove them before they ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Method(str, Enum):
    """How questions are made from one's own pages."""

    headings = "headings"
    captions = "captions"
    sentences = "sentences"
    crops = "crops"


HEADLINE_NAME = "NDCG@5"
MAX_PIXELS = Annotated[int | None, typer.Option(help="Budget of one page, image or frame; what it was trained with.")]
TARGETS_ONLY = Annotated[
    bool, typer.Option("--targets-only", help="Rank among the held-out targets, not all pages of their documents.")
]
DEVICE = Annotated[str | None, typer.Option(help="cuda, cuda:1, mps or cpu; the best there is.")]
DTYPE = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; what suits the device.")]


@app.callback()
def _settings(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what happens.")] = False,
) -> None:
    is_first = os.environ.get("RANK", "0") == "0"
    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(console=err, show_path=False, show_time=False)
    logging.basicConfig(level=level if is_first else logging.ERROR, format="%(message)s", handlers=[handler])


@app.command("train")
def train_command(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, or the name of a recipe that comes along.")],
    restart: Annotated[bool, typer.Option("--restart", help="Remove the run's checkpoints and begin anew.")] = False,
    stop_at: Annotated[int | None, typer.Option(help="Save and stop after so many steps in all.")] = None,
) -> None:
    """Train as a recipe says; goes on from the last checkpoint where there is one.

    The same under torchrun, on N GPUs (or N processes on the CPU):

    torchrun --nproc-per-node=N -m vlm2vec_finetune train RECIPE.yaml
    """
    from vlm2vec_finetune.progress import Bar, TensorBoard, plot_run
    from vlm2vec_finetune.recipe import load_recipe
    from vlm2vec_finetune.trainer import train
    from vlm2vec_finetune.watch import Watch

    loaded = load_recipe(recipe)
    folder = Path(loaded.output_dir)
    is_first = os.environ.get("RANK", "0") == "0"
    watches: list[Watch] = [Bar(console), TensorBoard(folder)] if is_first else []
    outcome = train(loaded, restart=restart, stop_at=stop_at, watches=watches)
    if not is_first:
        return
    console.print(f"loss curve: {plot_run(folder)}")
    if outcome.is_finished:
        console.print(_verdict(outcome, "--adapter" if loaded.mode == "lora" else "--model"))
    else:
        console.print(f"stopped after step {outcome.step}: {outcome.folder}; the same command goes on from there")
        if number := seen():
            raise typer.Exit(128 + number)  # or what follows in a script would take it for trained


@app.command("pairs")
def pairs_command(
    sources: Annotated[list[Path] | None, typer.Argument(help="Files and folders of your own.")] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for train.jsonl and held_out.jsonl.")],
    collection: Annotated[str | None, typer.Option(help="An indexed collection instead of files.")] = None,
    method: Annotated[
        list[Method] | None,
        typer.Option("--method", "-m", help="Give it again for more; headings, captions, sentences."),
    ] = None,
    chat_model: Annotated[
        str | None, typer.Option(help="A LangChain chat model to write questions: provider:model or module:object.")
    ] = None,
    per_page: Annotated[int, typer.Option(min=1, help="Questions of each method for a page, at most.")] = 2,
    pages_per_document: Annotated[int | None, typer.Option(min=1, help="Of a longer PDF only so many.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of the pairs to evaluate on, whole documents.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Start of the random choices.")] = 0,
) -> None:
    """Make question/page pairs from your own collection, divided by document."""
    from vlm2vec_finetune import make_pairs
    from vlm2vec_finetune.pairs import write_pairs
    from vlm2vec_finetune.passages import Passage, passages_of_collection, passages_of_files

    if bool(sources) == bool(collection):
        raise InvalidInput("give files and folders, or --collection; one of them")
    default = [] if chat_model else [Method.headings, Method.captions, Method.sentences]
    methods = [each.value for each in method or default]
    passages: list[Passage] = []
    cut_outs = []
    if sources:
        from vlm2vec_rag.media import MediaReader

        with MediaReader() as reader:
            found = passages_of_files(
                sources, reader, with_images="crops" in methods, pages_per_document=pages_per_document
            )
            for passage in found:  # images are cut at once and let go: a thousand pages would fill the memory
                if passage.image is not None:
                    cut_outs += make_pairs.pairs_from_crops([passage], out / "crops", per_page=per_page, seed=seed)
                passages.append(Passage(content=passage.content, text=passage.text, title=passage.title,
                                        document=passage.document))  # fmt: skip
    elif collection:
        if "crops" in methods:
            raise InvalidInput("a collection keeps no images to cut from; give the files for --method crops")
        from vlm2vec_rag.collection import open_collection

        with open_collection(collection, create=False) as opened:
            passages = list(passages_of_collection(opened))
    made = make_pairs.pairs_from_text(passages, [each for each in methods if each != "crops"], per_page=per_page)
    if chat_model:
        from vlm2vec_finetune.ask_model import load_chat_model, pairs_from_model

        made += pairs_from_model(passages, load_chat_model(chat_model), per_page=per_page)
    train_pairs, test_pairs = make_pairs.split_by_document(make_pairs.unambiguous(made) + cut_outs, held_out, seed)
    for name, part in (("train", train_pairs), ("held_out", test_pairs)):
        count = write_pairs(part, out / f"{name}.jsonl")
        console.print(f"{out / name}.jsonl: {count} pairs of {len({pair.group for pair in part})} documents")


@app.command("mine")
def mine_command(
    pairs: Annotated[Path, typer.Argument(help="A pairs file.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The pairs file with negatives.")],
    model: Annotated[str | None, typer.Option(help="A hub id or a folder; VLM2Vec-V2.0.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="An adapter to mine with.")] = None,
    collection: Annotated[str | None, typer.Option(help="Look in a collection, not among the pairs' targets.")] = None,
    per_pair: Annotated[int, typer.Option(help="Negatives for each pair.")] = 4,
    margin: Annotated[float, typer.Option(help="Share of the answer's score that a negative stays below it.")] = 0.05,
    max_pixels: MAX_PIXELS = None,
    device: DEVICE = None,
    dtype: DTYPE = None,
) -> None:
    """Find hard negatives, with a margin that guards against answers that nobody wrote down."""
    from vlm2vec_finetune.datasets.files import read_pairs
    from vlm2vec_finetune.evaluate import encode_with
    from vlm2vec_finetune.mining import mine
    from vlm2vec_finetune.pairs import write_pairs
    from vlm2vec_finetune.visuals import Visuals

    read = read_pairs(pairs)
    encoder = _encoder(model, adapter, max_pixels, device, dtype)
    with (
        Visuals(max_pixels=encoder.max_pixels, frames=encoder.frames) as visuals,
        _bar("encode") as step,
        _searching(collection, encoder) as search,
    ):
        encode = encode_with(encoder, visuals, progress=step)
        mined = mine(read, encode, encoder.prompts, per_pair=per_pair, margin=margin, search=search)
    write_pairs(mined.pairs, out)
    console.print(
        f"{out}: {mined.found} negatives for {len(mined.pairs)} pairs; {mined.guarded} candidates left out as too near "
        f"the answer, {mined.without} pairs without any"
    )


@app.command("evaluate")
def evaluate_command(
    adapter: Annotated[Path, typer.Argument(help="A run's folder, a checkpoint or an adapter.")],
    *,
    held_out: Annotated[Path, typer.Option(help="The pairs file of the held-out side.")],
    against: Annotated[str | None, typer.Option(help="The model to beat; what the adapter was trained from.")] = None,
    targets_only: TARGETS_ONLY = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the numbers as JSON.")] = None,
    max_pixels: MAX_PIXELS = None,
    device: DEVICE = None,
    dtype: DTYPE = None,
) -> None:
    """NDCG@5, Hit@1, Recall@10 and MRR on the held-out side, before and after, with chance and bootstrap intervals.

    All pages of the held-out documents are candidates.
    """
    comparison = _compare(
        adapter,
        held_out=held_out,
        against=against,
        targets_only=targets_only,
        max_pixels=max_pixels,
        device=device,
        dtype=dtype,
    )
    if out:
        out.write_text(json.dumps(comparison.to_dict(), indent=1) + "\n", encoding="utf-8")


@app.command("export")
def export_command(
    adapter: Annotated[Path, typer.Argument(help="A run's folder, a checkpoint or an adapter.")],
    to: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    held_out: Annotated[Path, typer.Option(help="The pairs file of the held-out side.")],
    against: Annotated[str | None, typer.Option(help="The model to beat; what the adapter was trained from.")] = None,
    targets_only: TARGETS_ONLY = False,
    even_if_worse: Annotated[bool, typer.Option("--even-if-worse", help="Whatever the numbers say.")] = False,
    max_pixels: MAX_PIXELS = None,
    device: DEVICE = None,
    dtype: DTYPE = None,
) -> None:
    """Copy an adapter with a model card, if it is better than what it was trained from."""
    from vlm2vec_finetune.evaluate import adapter_folder
    from vlm2vec_finetune.export import export_adapter

    comparison = _compare(
        adapter,
        held_out=held_out,
        against=against,
        targets_only=targets_only,
        max_pixels=max_pixels,
        device=device,
        dtype=dtype,
    )
    folder = export_adapter(adapter_folder(adapter), to, comparison, even_if_worse=even_if_worse)
    console.print(f"exported to {folder}; serve it with `vlm2vec-rag index … --adapter {folder}`")


@app.command("merge")
def merge_command(
    adapter: Annotated[Path, typer.Argument(help="A run's folder, a checkpoint or an adapter.")],
    to: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Fold an adapter into its base and write the whole model."""
    from vlm2vec_finetune.evaluate import adapter_folder
    from vlm2vec_finetune.export import merge

    folder = merge(adapter_folder(adapter), to)
    console.print(f"merged into {folder}; serve it with `vlm2vec-rag index … --model {folder}`")


@app.command("download")
def download_command(
    names: Annotated[list[str], typer.Argument(help="Sets by name, such as colpali or mmeb-DocVQA; mmeb or all.")],
    to: Annotated[Path, typer.Option(help="The folder of all sets.")] = Path("data"),
    cap: Annotated[int | None, typer.Option(min=1, help="Pairs of each set; as many as the paper's mix uses.")] = None,
    mirror: Annotated[
        Path | None, typer.Option(help="A local copy of the set's repository, instead of the hub.")
    ] = None,
) -> None:
    """Fetch the public training sets of VLM2Vec-V2 as pairs files."""
    from vlm2vec_finetune.datasets.download import download
    from vlm2vec_finetune.datasets.public import SETS, public_set

    chosen = [each for each in SETS if "all" in names or ("mmeb" in names and each.name.startswith("mmeb-"))]
    chosen += [public_set(name) for name in names if name not in ("all", "mmeb")]
    for each in dict.fromkeys(chosen):
        download(each, to, cap=cap, mirror=mirror, say=console.print)


def main() -> None:
    """Run the command line; exit status 1 for what went wrong, 2 for how it was called, 130 interrupted."""
    try:
        with handled():
            app()
    except VlmRagError as error:
        err.print(f"[bold red]error:[/bold red] {escape(str(error))}")
        sys.exit(1)


def _verdict(outcome: Outcome, flag: str) -> str:
    """What to do with what was trained, by its own held-out score."""
    folder, gain = outcome.folder, outcome.gain
    if gain is None:
        return (
            f"done: {folder}; whether it is better than before is not known, for nothing was held out: "
            f"`vlm2vec-finetune evaluate {folder} --held-out PAIRS` says so, and `held_out: PAIRS` in the recipe"
        )
    told = f"{HEADLINE_NAME} on {gain.n} held-out questions changed by {gain} points"
    if gain.low > 0:
        return f"better: {told}; serve it with `vlm2vec-rag index … {flag} {folder}`"
    cause = (
        "it got worse: try a lower learning_rate, fewer max_steps, a smaller lora_rank, or more and other pairs"
        if gain.high < 0
        else "0 is inside that interval: try more pairs, more max_steps, or hold out more questions to tell them apart"
    )
    return f"not better: {told}; {cause}. It is in {folder}"


def _encoder(
    model: str | Path | None, adapter: Path | None, max_pixels: int | None, device: str | None, dtype: str | None
) -> Encoder:
    from vlm2vec_rag.encoder.load import load_encoder

    return load_encoder(model, adapter, device, dtype, max_pixels=max_pixels)


def _compare(
    adapter: Path,
    *,
    held_out: Path,
    against: str | None,
    targets_only: bool,
    max_pixels: int | None,
    device: str | None,
    dtype: str | None,
) -> Comparison:
    """Evaluate before and after, and print the table."""
    from vlm2vec_finetune.datasets.files import read_pairs
    from vlm2vec_finetune.evaluate import adapter_folder, compare, encode_with, trained_from
    from vlm2vec_finetune.passages import pages_of_documents
    from vlm2vec_finetune.scoring import METRICS, trial_of
    from vlm2vec_finetune.visuals import Visuals
    from vlm2vec_rag.encoder.load import load_encoder

    folder = adapter_folder(adapter)
    before_name = against or trained_from(folder)
    bad: list[str] = []
    after = _encoder(folder, None, max_pixels, device, dtype)
    # both see what the adapter was trained with
    before = load_encoder(before_name, None, device, dtype, max_pixels=after.max_pixels, frames=after.frames)
    if before.prompts is not after.prompts:
        raise InvalidInput(f"{before_name} is of another model family than {folder}, and reads other prompts")
    pairs = read_pairs(held_out)
    with Visuals(max_pixels=before.max_pixels, frames=before.frames) as visuals, _bar("encode") as step:
        with visuals.reading() as reader:
            pages = [] if targets_only else pages_of_documents([pair.target for pair in pairs], reader)
        trial = trial_of(pairs, before.prompts, pages)
        comparison = compare(
            encode_with(before, visuals, progress=step, bad=bad),
            encode_with(after, visuals, progress=step, bad=bad),
            trial,
            held_out=held_out,
            names=(before_name, str(folder)),
            bad=bad,
        )
    title = f"{len(trial.queries)} held-out questions, {len(trial.candidates)} candidates"
    table = Table("metric", "chance", "before", "after", "difference", title=title)
    for metric in METRICS:
        row = (comparison.before.interval(metric), comparison.after.interval(metric), comparison.gain(metric))
        table.add_row(metric, f"{100 * comparison.facts['chance'][metric]:.1f}", *map(str, row))
    console.print(table)
    for reason in dict.fromkeys(bad):
        err.print(f"unreadable: {escape(reason)}")
    console.print(
        "better" if comparison.is_better else "not better: the interval of the difference does not lie above 0"
    )
    return comparison


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int], None]]:
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.advance(task, count)


@contextmanager
def _searching(location: str | None, encoder: Encoder) -> Iterator[Search | None]:
    """How to look in a collection, or nothing to look among the pairs."""
    if location is None:
        yield None
        return
    from vlm2vec_finetune.passages import content_of
    from vlm2vec_rag.collection import open_collection

    with open_collection(location, fingerprint=encoder.fingerprint, create=False) as opened:
        yield lambda vector, limit: [
            (content_of(found.payload), found.dense_score or 0.0)
            for found in opened.search(vector, mode="dense", limit=limit)
        ]
