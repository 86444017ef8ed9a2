"""Let a LlamaIndex agent search a PDF: prints the tool call, what it found, and the answer.

Runs as it is, offline, in half a minute: with VLM2Vec-V2.0 where it is at hand, else with nano.
"""

import asyncio
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.tools import QueryEngineTool
from llama_index.retrievers.vlm2vec import VLM2VecRetriever

import vlm2vec_rag as vr
from vlm2vec_rag import samples

library = vr.open(":memory:")
library.index([*samples.folder().glob("latex*.pdf")])
call = ToolCallBlock(tool_name="search_files", tool_kwargs={"input": "LaTeX font sizes from tiny to huge"})
replies = iter((ChatMessage(blocks=[call]), ChatMessage("From \\tiny to \\Huge."), ChatMessage("Ten.")))
# the real one goes here: llm = llama_index.llms.openai.OpenAI("gpt-4o")
llm = MockFunctionCallingLLM(is_chat_model=True, response_generator=lambda *_, **__: next(replies))
engine = VLM2VecRetriever(library, similarity_top_k=1).as_query_engine(llm)
tool = QueryEngineTool.from_defaults(engine, name="search_files", description="Searches the user's files.")


async def run() -> Any:
    return await FunctionAgent(tools=[tool], llm=llm).run("Which font sizes are there?")


for made in (answer := asyncio.run(run())).tool_calls:
    print(made.tool_kwargs, made.tool_output.raw_output.source_nodes[0].metadata["place"], made.tool_output, sep="\n")
print(answer)
