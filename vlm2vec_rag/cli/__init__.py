"""The command line `vlm2vec-rag`. User mistakes end in one line that says what to do, never in a traceback."""

from vlm2vec_rag.cli.app import main

__all__ = ["main"]
