"""Hard negatives: what the model takes for an answer and is none, from the pairs' own targets or a whole collection.

A candidate that scores almost as high as the right answer often is an answer that nobody wrote down. So only what stays
below the right answer's score by a margin is taken (the «perc-pos» rule of NV-Retriever, Moreira et al. 2024,
arXiv:2407.15831: at most 95 % of the positive's score).
Shape letters: Q queries, C candidates, D width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vlm2vec_finetune.evaluate import Encode
from vlm2vec_finetune.inputs import query_prompt, target_prompt
from vlm2vec_finetune.pairs import Content, Pair
from vlm2vec_finetune.scoring import trial_of
from vlm2vec_rag.encoder.base import Prompts, Vectors
from vlm2vec_rag.errors import InvalidInput

MARGIN = 0.05
Search = Callable[[Vectors, int], list[tuple[Content, float]]]  # (D,) and a limit -> contents with their cosine


@dataclass(frozen=True, slots=True)
class Mined:
    """Pairs with negatives, and what the guard did."""

    pairs: list[Pair]
    found: int  # negatives in all
    guarded: int  # candidates left out because they score too near the right answer, or above it
    without: int  # pairs for which nothing was left


def mine(
    pairs: Sequence[Pair],
    encode: Encode,
    prompts: Prompts,
    *,
    per_pair: int = 4,
    margin: float = MARGIN,
    depth: int = 50,
    search: Search | None = None,
) -> Mined:
    """Give each pair the highest-scoring candidates that stay below its answer by the margin.

    Args:
        pairs: Their own negatives are replaced.
        encode: Prompts and contents to unit vectors; see `evaluate.encode_with`.
        prompts: Of the model that encodes.
        per_pair: How many negatives.
        margin: Share of the right answer's score that a negative must stay below it.
        depth: How many candidates to look at for each question.
        search: Look in a collection; None looks among the targets of the pairs.

    Raises:
        InvalidInput: The margin is not between 0 and 1, or a count is below 1.
    """
    if not 0 <= margin < 1 or per_pair < 1 or depth < per_pair:
        raise InvalidInput(
            f"margin {margin}, per_pair {per_pair}, depth {depth}: expected 0 ≤ margin < 1, 1 ≤ per_pair ≤ depth"
        )
    trial = trial_of(pairs, prompts)
    vectors = encode([*trial.queries, *trial.candidates])
    queries, candidates = vectors[: len(trial.queries)], vectors[len(trial.queries) :]
    number = {side: at for at, side in enumerate(trial.queries)}
    target_number = {side: at for at, side in enumerate(trial.candidates)}
    search = search or _among([content for _, content in trial.candidates], candidates)
    mined: list[Pair] = []
    guarded = 0
    for pair in pairs:
        at = number[query_prompt(pair, prompts), pair.query]
        right = {trial.candidates[each][1] for each in trial.answers[at]}
        answer = candidates[target_number[target_prompt(pair.target, prompts, pair.target_instruction), pair.target]]
        positive = float(queries[at] @ answer)
        ceiling = positive - margin * abs(positive)
        ranked = [(content, score) for content, score in search(queries[at], depth) if content not in right]
        safe = [content for content, score in ranked if score <= ceiling]
        guarded += len(ranked) - len(safe)
        mined.append(dataclasses.replace(pair, negatives=tuple(safe[:per_pair])))
    counts = [len(pair.negatives) for pair in mined]
    return Mined(mined, sum(counts), guarded, counts.count(0))


def _among(contents: Sequence[Content], vectors: Vectors) -> Search:
    def search(query: Vectors, limit: int) -> list[tuple[Content, float]]:
        scores = vectors @ query
        order = (-scores).argsort(kind="stable")[:limit]
        return [(contents[at], float(scores[at])) for at in order]

    return search
