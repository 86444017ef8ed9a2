"""Find when it happens in the sample film, and cut the moments to one reel with titles.

Runs offline: without a model the film's subtitles decide. With one, its frames decide as well:

    python examples/find_moments.py
    python examples/find_moments.py VLM2Vec/VLM2Vec-V2.0
"""

import sys

import vlm2vec_rag as vr
from vlm2vec_rag import samples
from vlm2vec_rag.highlights import write_reel

film = samples.folder() / "big-buck-bunny.mp4"
with vr.open(":memory:", model=sys.argv[1] if len(sys.argv) > 1 else "none") as library:
    moments = library.highlights(film, ["a butterfly around the bunny's head", "a red apple drops"])
    for moment in moments:
        print(f"{moment.start_s:6.1f} to {moment.end_s:5.1f} s  {moment.title}")
    write_reel(film, moments, "reel.mp4", library.reader)
print("reel.mp4 shows them one after the other")
