"""Measure: MMEB-V2's 78 tasks and ViDoRe, one's own collection, and any task of mteb.

- `run.run` reads, encodes and scores tasks of MMEB-V2; `leaderboard` sets the result beside published ones
- `own_collection.evaluate_collection` asks one's own questions in every way of searching
- `mteb_model.MtebModel` is the encoder inside mteb's harness
- `metrics` and `intervals` are pure functions for anything else

On the command line all of it but mteb is `vlm2vec-rag eval`.
"""
