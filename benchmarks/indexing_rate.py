"""Items per second of indexing, and where the time goes: reading, encoding, writing.

    python benchmarks/indexing_rate.py [--model FOLDER]

Indexes the sample collection (real PDFs, images, a film) into a fresh folder, once cold and once unchanged. The
model is the tiny random checkpoint of the tests unless one is named, so that reading and writing show. There is no peer
here: the second run is held against the first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import vlm2vec_rag as vr
from vlm2vec_rag import IndexReport, load_encoder, samples

TINY = Path(__file__).parents[1] / "tests" / "data" / "conformance" / "tiny"


def line(name: str, report: IndexReport) -> str:
    """One run as a row: items, rate, and shares of its time."""
    rest = report.seconds - report.encode_s - report.write_s
    rate = report.items / report.seconds
    return (
        f"{name:12}{report.items:6}{report.seconds:9.2f} s{rate:9.1f} / s"
        f"{report.encode_s / report.seconds:10.0%}{report.write_s / report.seconds:9.0%}{rest / report.seconds:9.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model) if arguments.model else load_encoder(TINY / "base", TINY / "adapter")
    with tempfile.TemporaryDirectory() as folder, vr.open(Path(folder) / "c", encoder) as library:
        print(f"{'':12}{'items':>6}{'time':>11}{'rate':>13}{'encoding':>10}{'writing':>9}{'reading':>9}")
        print(line("cold", library.index(samples.folder())))
        again = library.index(samples.folder())
        print(f"{'unchanged':12}{again.items:6}{again.seconds:9.2f} s, {again.unchanged} files skipped by their hash")


if __name__ == "__main__":
    main()
