"""The models that are known by name, and what to expect of each: size, what it sees, licence, what it is good at."""

from __future__ import annotations

from dataclasses import dataclass

from vlm2vec_rag.encoder.base import Sight
from vlm2vec_rag.encoder.locate import is_on_disk
from vlm2vec_rag.encoder.names import DEFAULT_MODEL, GEMMA, NANO

ALL_SIGHTS: frozenset[Sight] = frozenset({"print", "photographs", "video"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that `load_encoder` and `--model` take by name."""

    name: str  # hub id, or nano
    good_at: str
    sees: frozenset[Sight]
    dim: int  # numbers of a vector
    parameters: int
    download_bytes: int  # with its base, if it is an adapter; 0 if it comes with the package
    licence: str
    page_flops: float  # of encoding one A4 page at the budget it is loaded with, counted from its architecture
    mmeb_v2: float | None = None  # published score over all tasks, in percent
    source: str = ""  # of the score

    @property
    def memory_bytes(self) -> int:
        """Of the weights in bfloat16; twice that in float32."""
        return 2 * self.parameters

    @property
    def is_on_disk(self) -> bool:
        """Whether it loads without a download."""
        return is_on_disk(self.name)


# Counted for page_flops: two operations for each weight of a matrix and each patch or token it is applied to, and four
# for each pair of patches, numbers of a head and layers in attention (half of that where it is causal).
MODELS: tuple[ModelInfo, ...] = (
    ModelInfo(
        name=NANO,
        good_at="printed words of pages, slides and screen recordings, on any machine; knows no scenes",
        sees=frozenset({"print"}),
        dim=640,
        parameters=11_530_368,
        download_bytes=0,
        licence="Apache-2.0",
        page_flops=0.19e12,
    ),
    ModelInfo(
        name=GEMMA,
        good_at="everything on a laptop: small and quick, over 100 languages, vectors can be cut",
        sees=ALL_SIGHTS,
        dim=768,
        parameters=438_760_448,
        download_bytes=1_490_000_000,
        licence="Apache-2.0",
        page_flops=1.15e12,
    ),
    ModelInfo(
        name="Qwen/Qwen3-VL-Embedding-2B",
        good_at="the best of its size for pages, photographs and clips; over 30 languages, vectors can be cut",
        sees=ALL_SIGHTS,
        dim=2048,
        parameters=2_127_532_032,
        download_bytes=4_260_000_000,
        licence="Apache-2.0",
        page_flops=15.2e12,
        mmeb_v2=73.2,
        source="github.com/QwenLM/Qwen3-VL-Embedding",
    ),
    ModelInfo(
        name=DEFAULT_MODEL,
        good_at="pages, photographs and clips alike; the reference that the others are compared with",
        sees=ALL_SIGHTS,
        dim=1536,
        parameters=2_208_985_600,
        download_bytes=4_420_000_000,
        licence="Apache-2.0",
        page_flops=14.0e12,
        mmeb_v2=59.2,
        source="github.com/TIGER-AI-Lab/VLM2Vec, page-fixed",
    ),
    ModelInfo(
        name="Qwen/Qwen3-VL-Embedding-8B",
        good_at="the strongest here, for a GPU of 24 GB; over 30 languages, vectors can be cut",
        sees=ALL_SIGHTS,
        dim=4096,
        parameters=8_144_793_840,
        download_bytes=16_300_000_000,
        licence="Apache-2.0",
        page_flops=38.7e12,
        mmeb_v2=77.8,
        source="github.com/QwenLM/Qwen3-VL-Embedding",
    ),
)


def models() -> list[ModelInfo]:
    """The models known by name, the smallest first; folders and other hub ids of their families load as well."""
    return list(MODELS)
