"""Ask the sample documents three questions, the last one a follow-up, and print answers with their places.

Runs offline and without a model: answers are quotations. With a chat model, answers are written:

    python examples/chat_with_documents.py
    python examples/chat_with_documents.py openai:gpt-4o     (pip install 'vlm2vec-rag[chat]' langchain-openai)
"""

import sys

import vlm2vec_rag as vr
from vlm2vec_rag import samples

with vr.open(":memory:", model="none") as library:  # a folder in place of :memory: keeps what is indexed
    library.index(samples.folder())
    with library.chat(sys.argv[1] if len(sys.argv) > 1 else "none") as chat:
        for question in (
            "When does a butterfly fly around the bunny's head?",
            "How do I make one slice stick out of a pie chart?",
            "and what is its default?",
        ):
            print(f"\n> {question}")
            reply = chat.stream(question, limit=2)
            for piece in reply:
                print(piece, end="", flush=True)
            for citation in reply.answer.citations:
                print(f"\n  [{citation.number}] {citation.place.rsplit('/', 1)[-1]}", end="")
            print()
