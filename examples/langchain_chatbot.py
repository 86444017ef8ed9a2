"""Chat over a PDF and a film with LangChain: prints each answer and the places that support it.

Runs as it is, offline, in about a minute: with VLM2Vec-V2.0 where it is at hand, else with nano.
"""

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.messages.content import create_text_block
from langchain_vlm2vec import MediaLoader, VLM2VecRetriever, VLM2VecVectorStore
from langchain_vlm2vec import documents_to_content_blocks as evidence_of

from vlm2vec_rag import samples

store = VLM2VecVectorStore.open(":memory:")  # with the best model at hand; a folder instead keeps it
files = [samples.folder() / name for name in ("hcl-colors.pdf", "big-buck-bunny.mp4")]  # or a folder
store.add_documents(MediaLoader(files).load())
retriever = VLM2VecRetriever(vectorstore=store, k=2)
# the real one goes here, any that sees images: chat_model = langchain.chat_models.init_chat_model("openai:gpt-4o")
chat_model = FakeListChatModel(responses=["They did [1].", "He wakes and yawns [1]."])
for question in ("Did treated arthritis patients improve more than those on placebo?", "The bunny wakes and yawns"):
    hits = retriever.invoke(question)
    message = HumanMessage(content_blocks=[*evidence_of(hits, question), create_text_block(question)])
    print(f"\n{question}\n{chat_model.invoke([message]).text}")
    for number, hit in enumerate(hits, start=1):
        print(f"[{number}] {hit.metadata['place']}")
