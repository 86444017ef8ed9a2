"""A small folder with a file of every kind, whose contents are known."""

from __future__ import annotations

from pathlib import Path

from handmade_pdfs import Sheet, make_pdf
from numbered_videos import make_video
from PIL import Image


def write_media(folder: Path) -> Path:
    """Write a PDF of two pages, two images, a film of three seconds and a note, and give the folder back."""
    pages = [Sheet(words=[(72, 700, words)]) for words in ("Quarterly revenue", "Emission targets")]
    make_pdf(folder / "report.pdf", pages)
    Image.new("RGB", (120, 80), "red").save(folder / "red.png")
    Image.new("RGB", (80, 120), "blue").save(folder / "blue.png")
    make_video(folder / "talk.mp4")
    (folder / "note.md").write_text("The bicycle stands in the yard.\n", encoding="utf-8")
    return folder
