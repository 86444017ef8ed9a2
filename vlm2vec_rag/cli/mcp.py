"""`mcp`: the agents' tools over standard input and output, for an agent that starts its servers itself."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from vlm2vec_rag.cli.options import ModelOptions, with_options
from vlm2vec_rag.cli.serve import AllowFolderOption, ChatOption, CollectionsOption, opened


@with_options
def mcp_command(
    model: ModelOptions,
    collection: CollectionsOption = None,
    chat: ChatOption = "none",
    allow_folder: AllowFolderOption = None,
    allow_write: Annotated[bool, typer.Option("--allow-write", help="Let the agent index and remove.")] = False,
) -> None:
    """Serve search, ask, open_page and list_sources to an agent, over standard input and output (MCP)."""
    from vlm2vec_rag.extras import require
    from vlm2vec_rag.serve import ServeSettings

    require("mcp.server", "serve")
    require("fastapi", "serve")
    from vlm2vec_rag.serve.agents import agent_server
    from vlm2vec_rag.serve.shelf import Shelf

    settings = ServeSettings(allowed_folders=tuple(allow_folder or ()), allow_write=allow_write)
    with opened(collection, model, chat, settings) as served:
        try:
            asyncio.run(agent_server(Shelf(served), allow_write=allow_write).run_stdio_async())
        finally:
            for each in served:
                each.close()
