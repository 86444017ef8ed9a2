"""What the tests of media share: the two PDF engines, and files whose contents are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm2vec_rag.media.settings import has_pymupdf

ENGINES = ["pypdfium2", pytest.param("pymupdf", marks=pytest.mark.skipif(not has_pymupdf(), reason="an extra"))]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each PDF engine that is installed."""
    return request.param


@pytest.fixture(scope="session")
def locked_files() -> Path:
    """`locked.pdf` opens with "open sesame"; `owner_locked.pdf` opens without a password and forbids copying."""
    return Path(__file__).parents[2] / "data" / "media"
