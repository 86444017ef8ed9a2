"""`highlights`: cut the best moments of a video to one MP4 with titles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from vlm2vec_rag.cli import options
from vlm2vec_rag.cli.console import note, out, short
from vlm2vec_rag.cli.options import ModelChoice
from vlm2vec_rag.items import seconds


def highlights_command(
    video: Annotated[Path, typer.Argument(help="The video.", show_default=False)],
    questions: Annotated[list[str], typer.Argument(help="What to look for; one or more.", show_default=False)],
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="The MP4 to write; VIDEO-highlights.mp4 by default.")
    ] = None,
    each: Annotated[int, typer.Option("--each", min=1, help="Moments for each question.")] = 1,
    longest: Annotated[float, typer.Option("--longest", help="Seconds of one moment at most.")] = 15.0,
    font: Annotated[Path | None, typer.Option("--font", help="A TrueType font, for titles beyond Latin.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which moments.")] = False,
    model: options.ModelOption = None,
    adapter: options.AdapterOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
) -> None:
    """Cut the best moments of a video to one MP4 with titles. Without a model, subtitles decide."""
    from vlm2vec_rag.highlights import find_highlights, write_reel
    from vlm2vec_rag.media import MediaReader, MediaSettings

    encoder = ModelChoice(model=model, adapter=adapter, device=device, dtype=dtype).load()
    settings = MediaSettings(max_pixels=encoder.max_pixels, frames=encoder.frames) if encoder else MediaSettings()
    with MediaReader(settings) as reader:
        found = find_highlights(video, questions, encoder, reader, each=each, longest_s=longest)
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
            has_sound = write_reel(video, found, target, reader, font=str(font) if font else None)
            silent = "" if has_sound else ", without sound, like the video"
            note(f"{short(str(target))} shows {len(found)} {'moment' if len(found) == 1 else 'moments'}{silent}")
