"""`highlights`: cut the best moments of a video to one MP4 with titles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli.console import note, out, short
from vlm2vec_rag.cli.options import ModelOptions, with_options
from vlm2vec_rag.items import seconds


@with_options
def highlights_command(
    chosen: ModelOptions,
    video: Annotated[Path, typer.Argument(help="The video.", show_default=False)],
    questions: Annotated[list[str], typer.Argument(help="What to look for; one or more.", show_default=False)],
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="The MP4 to write; VIDEO-highlights.mp4 by default.")
    ] = None,
    each: Annotated[int, typer.Option("--each", min=1, help="Moments for each question.")] = 1,
    longest: Annotated[float, typer.Option("--longest", help="Seconds of one moment at most.")] = 15.0,
    font: Annotated[Path | None, typer.Option("--font", help="A TrueType font, for titles beyond Latin.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which moments.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Use a model that sees no video all the same; what it finds means little.")
    ] = False,
) -> None:
    """Cut the best moments of a video to one MP4 with titles. Without a model, subtitles decide."""
    from vlm2vec_rag.highlights import write_reel

    with chosen.open_in_memory() as library:
        found = library.highlights(video, questions, each=each, longest_s=longest, anyway=anyway)
        for highlight in found:
            place = f"{short(str(video))}#t={seconds(highlight.start_s)},{seconds(highlight.end_s)}"
            out.print(f"[cyan]{highlight.score:.3f}[/cyan]  {escape(place)}  {escape(highlight.title)}")
        missing = [question for question in questions if not any(question.strip() in each.title for each in found)]
        if missing:
            note(f"nothing found for: {'; '.join(missing)}")
        if not found:
            raise typer.Exit(1)
        if not dry_run:
            target = target or video.with_name(f"{video.stem}-highlights.mp4")
            has_sound = write_reel(video, found, target, library.reader, font=str(font) if font else None)
            silent = "" if has_sound else ", without sound, like the video"
            note(f"{short(str(target))} shows {len(found)} {'moment' if len(found) == 1 else 'moments'}{silent}")
