"""Chat over a PDF and a film with LlamaIndex: prints each answer and the places that support it.

Runs as it is, offline, in about a minute: with VLM2Vec-V2.0 where it is at hand, else with nano.
"""

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.retrievers.vlm2vec import VLM2VecRetriever

import vlm2vec_rag as vr
from vlm2vec_rag import samples

library = vr.open(":memory:")  # a folder instead keeps it
files = [samples.folder() / name for name in ("hcl-colors.pdf", "big-buck-bunny.mp4")]  # or a folder
library.index(files)
retriever = VLM2VecRetriever(library, similarity_top_k=2)
# the real one goes here, any that sees images: llm = llama_index.llms.openai.OpenAI("gpt-4o")
replies = iter(("They did.", "The bunny wakes and yawns", "Early on."))  # the second completes a question
llm = MockFunctionCallingLLM(is_chat_model=True, response_generator=lambda *_, **__: ChatMessage(next(replies)))
chat = CondenseQuestionChatEngine.from_defaults(retriever.as_query_engine(llm), llm=llm)
for question in ("Did treated arthritis patients improve more than those on placebo?", "And when does the bunny wake?"):
    answer = chat.chat(question)
    print(f"\n{question}", answer, *(node.metadata["place"] for node in answer.source_nodes), sep="\n")
