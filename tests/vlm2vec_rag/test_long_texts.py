"""A text of strangers costs what its length says, whatever it repeats: no search takes the square of it."""

import resource
import subprocess
import sys

PROGRAM = """
import time

from vlm2vec_rag.chat.citations import keep_known, stream_known
from vlm2vec_rag.collection.bm25 import Bm25
from vlm2vec_rag.excerpts import excerpt
from vlm2vec_rag.hyphens import joined
from vlm2vec_rag.media.front_matter import front_matter
from vlm2vec_rag.media.html import html_to_markdown
from vlm2vec_rag.media.pdf.broken import is_broken
from vlm2vec_rag.media.texts import csv_sections, markdown_sections, passages
from vlm2vec_rag.media.video.subtitles import parse
from vlm2vec_rag.serve.marks import marked

PIECES = [
    "x", "ä", "1", " ", "\\t", "\\n", "-", "a-", "a\\u2010", "ab-\\n", "1,", "1'234", "a.", "[1", "[ ", "<a", "{\\\\p1",
    "\\\\p1", "# a\\n", "```\\n", "a: b\\n", "日", "Donaudampf", ".)", "\\n ",
]
FUNCTIONS = {
    "words": Bm25("english").encode_text,
    "words in German": Bm25("german").encode_text,
    "joined": joined,
    "excerpt": lambda text: excerpt(text, "about a cat"),
    "marked": lambda text: marked(text, "about a cat"),
    "citations": lambda text: keep_known(text, 3),
    "streamed citations": lambda text: list(stream_known([text[at : at + 500] for at in range(0, len(text), 500)], 3)),
    "headings": markdown_sections,
    "rows": lambda text: csv_sections(text, 2000),
    "passages": lambda text: list(passages(text, 0, len(text), 2000)),
    "front matter": lambda text: front_matter("---\\n" + text),
    "web page": lambda text: html_to_markdown(text) if text[0] in " \\t\\n" else None,
    "subtitles": lambda text: parse("1\\n00:00:00,000 --> 00:00:01,000\\n" + text),
    "broken": is_broken,
}
for name, function in FUNCTIONS.items():
    for piece in PIECES:
        print(name, repr(piece), flush=True)
        for end in ("", "\\x01", "x1-"):
            begun = time.process_time()
            function((piece * 30_000)[:30_000] + end)
            assert time.process_time() - begun < 1.2  # the slowest takes 0.25, one that takes the square 2.8
"""
CPU_SECONDS = 60  # about 15 are needed; what takes the square may not come back for hours


def test_no_text_takes_the_square_of_its_length():
    done = subprocess.run(  # noqa: PLW1510  its end is looked at
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS)),
    )
    assert done.returncode == 0, f"at {done.stdout.splitlines()[-1:]}: {done.stderr[-1000:]}"
