"""Let a LangChain agent search a PDF: prints the tool call, what it found, and the answer.

Runs as it is, offline, in half a minute: with VLM2Vec-V2.0 where it is at hand, else with nano.
"""

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.tools.retriever import create_retriever_tool
from langchain_vlm2vec import MediaLoader, VLM2VecRetriever, VLM2VecVectorStore

from vlm2vec_rag import samples

store = VLM2VecVectorStore.open(":memory:")  # with the best model at hand; a folder instead keeps it
store.add_documents(MediaLoader([*samples.folder().glob("latex*.pdf")]).load())
retriever = VLM2VecRetriever(vectorstore=store, k=1)
prompt = PromptTemplate.from_template("{place}\n{page_content}")
tool = create_retriever_tool(retriever, "search_files", "Search the user's files in words.", document_prompt=prompt)
call = {"name": "search_files", "args": {"query": "LaTeX font sizes from tiny to huge"}, "id": "1"}
replies = [AIMessage("", tool_calls=[call]), AIMessage("Ten, from \\tiny to \\Huge.")]
# the real one goes here: chat_model = langchain.chat_models.init_chat_model("openai:gpt-4o").bind_tools([tool])
chat_model = GenericFakeChatModel(messages=iter(replies))
messages: list[BaseMessage] = [HumanMessage("Which font sizes are there?")]
while (reply := chat_model.invoke(messages)).tool_calls:
    messages += [reply, *(tool.invoke(each) for each in reply.tool_calls)]
    print(reply.tool_calls[0]["args"], "->", messages[-1].text[:120], sep="\n")
print(reply.text)
