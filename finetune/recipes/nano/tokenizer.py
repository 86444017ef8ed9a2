"""nano's tokenizer: 1,536 tokens, lower case, subwords; and the subwords of a word with where they stand in it.

Byte-level BPE, so that any text has tokens. Trained on the words of the training packages only. Cost: 30 seconds.

    python tokenizer.py runs/nano/corpus runs/nano/tokenizer
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 1536
# Qwen2-VL's, so that the prompts of the 2 B model work unchanged
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
BLANK_TOKEN = SPECIAL.index("<|vision_pad|>")  # what a cell without words stands for
IMAGE_TOKEN, VIDEO_TOKEN, PAD_TOKEN = SPECIAL.index("<|image_pad|>"), SPECIAL.index("<|video_pad|>"), 0


def build(texts: list[str]) -> Tokenizer:
    """Learn the subwords from texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # a mark in front of each word: a subword knows whether a word begins with it, also at the start of a text
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Metaspace(replacement="▁")])
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer as transformers loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        # not Qwen2Tokenizer, which would rebuild its own pre-tokenizer and lose the lower case
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 32768,
        "padding_side": "right",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": list(SPECIAL[1:]),
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


class Subwords:
    """Words to the subwords that carry letters or digits, and the middle of each as a share of the word's width."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._of_word = cache(self._cut)

    def __call__(self, word: str) -> tuple[list[int], list[float]]:
        """Token ids of a word and where in it each stands, 0 to 1."""
        return self._of_word(word)

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, punctuation included."""
        found: list[int] = self.tokenizer.encode(text).ids
        return found

    def _cut(self, word: str) -> tuple[list[int], list[float]]:
        encoded = self.tokenizer.encode(word)
        kept = [
            (subword, (start + end) / 2 / len(word))
            for subword, (start, end) in zip(encoded.ids, encoded.offsets, strict=True)
            if any(letter.isalnum() for letter in word[start:end])
        ]
        return [subword for subword, _ in kept], [middle for _, middle in kept]


def inverse_document_frequency(texts: list[str], subwords: Subwords) -> npt.NDArray[np.float32]:
    """How rare each subword is: ln(pages / pages with it), (VOCABULARY,), for a page never seen at most ln(pages)."""
    seen = np.ones(VOCABULARY)
    for text in texts:
        seen[list({subword for word in set(text.split()) for subword in subwords(word)[0]})] += 1
    return np.log((len(texts) + 1) / seen).astype(np.float32)


def main(corpus: Path, folder: Path) -> None:
    """Train and save the tokenizer and the weights of its subwords."""
    from corpus import load

    texts = load(corpus, "train").texts
    tokenizer = build(texts)
    save(tokenizer, folder)
    np.save(folder / "subword_idf.npy", inverse_document_frequency(texts, Subwords(folder)))
    sample = " ".join(load(corpus, "validation").texts[:50])
    words, ids = len(sample.split()), len(tokenizer.encode(sample).ids)
    print(f"{VOCABULARY} tokens, {ids / words:.2f} a word on validation pages")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
