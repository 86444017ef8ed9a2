"""Questions to answers: search, and let a chat model answer from what was found, with citations.

    with Chat(Retriever(collection, encoder), open_chat_model("openai:gpt-4o")) as chat:
        answer = chat.ask("What grew in the second quarter?")

Without a model an answer is made of quotations. Importing this imports no model and no framework.
"""

from vlm2vec_rag.chat.answer import Answer, Citation
from vlm2vec_rag.chat.messages import ChatModel, ImagePart, Message, TextPart
from vlm2vec_rag.chat.open import open_chat_model
from vlm2vec_rag.chat.prompt import Turn
from vlm2vec_rag.chat.reply import Reply
from vlm2vec_rag.chat.session import Chat, ChatSettings, ask

__all__ = [
    "Answer",
    "Chat",
    "ChatModel",
    "ChatSettings",
    "Citation",
    "ImagePart",
    "Message",
    "Reply",
    "TextPart",
    "Turn",
    "ask",
    "open_chat_model",
]
