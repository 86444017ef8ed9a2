"""Models of LangChain and LlamaIndex answer behind one interface, over the real client of a real protocol."""

import base64
import io
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image as PILImage

from vlm2vec_rag.chat import ImagePart, Message, TextPart, ask, open_chat_model
from vlm2vec_rag.errors import ChatError, InvalidInput, MissingExtra, ModelNotFound

MESSAGES = [
    Message.of("system", "Be brief."),
    Message("user", (TextPart("What is shown?"), ImagePart(PILImage.new("RGB", (40, 30), "red")))),
]


@pytest.fixture
def server():
    """A server that speaks OpenAI's streaming protocol, and keeps what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        answer = ("Red", " [1].")
        status = 200

        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(self.status)
            self.send_header("Content-Type", "text/event-stream" if self.status == 200 else "application/json")
            self.end_headers()
            if self.status != 200:
                self.wfile.write(b'{"error": {"message": "the quota is used up"}}')
                return
            for piece in self.answer:
                delta = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": piece}}]}
                chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"} | delta
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.asked, running.handler = asked, Handler
        yield running
        running.shutdown()


@pytest.fixture
def openai(server):
    pytest.importorskip("langchain_openai")
    address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return open_chat_model("openai:some-vision-model", base_url=address, api_key="none", max_retries=0)


def test_a_spec_string_opens_a_langchain_model_that_streams_and_sees(openai, server):
    assert openai.name == "openai:some-vision-model" and openai.sees_images
    assert "".join(openai.stream(MESSAGES)) == "Red [1]."
    system, user = server.asked[0]["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    text, image = user["content"]
    assert text["text"] == "What is shown?"
    kind, encoded = image["image_url"]["url"].split(",")
    assert kind == "data:image/jpeg;base64"
    assert PILImage.open(io.BytesIO(base64.b64decode(encoded))).size == (40, 30)


def test_a_providers_error_reaches_the_user_in_words(openai, server, retriever):
    server.handler.status = 429
    with pytest.raises(ChatError, match=r"openai:some-vision-model gave no answer and failed.*the quota is used up"):
        ask("revenue", retriever, openai)
    server.handler.status = 200
    assert ask("revenue", retriever, openai).text == "Red [1]."


def test_a_langchain_model_object_answers(retriever):
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    fake = GenericFakeChatModel(messages=iter([AIMessage("It rose [1].")]))
    answer = ask("revenue", retriever, open_chat_model(fake))
    assert answer.text == "It rose [1]." and answer.model == "GenericFakeChatModel" and answer.citations


def test_a_llama_index_llm_answers(retriever):
    pytest.importorskip("llama_index.core")
    from llama_index.core.llms import MockLLM

    from vlm2vec_rag.chat.llama_index import to_llama_index

    answer = ask("revenue", retriever, open_chat_model(MockLLM()))
    assert "Question: revenue" in answer.text  # it repeats what it is asked
    text, image = to_llama_index(MESSAGES[1]).blocks
    assert text.text == "What is shown?"
    assert PILImage.open(image.resolve_image()).size == (40, 30)


def test_no_model_and_models_of_ones_own_pass_through(rule_model):
    own = rule_model(lambda messages: iter(["x"]))
    assert open_chat_model(own) is own
    assert open_chat_model(None) is None and open_chat_model("none") is None


def test_what_is_no_model_is_refused_by_name():
    with pytest.raises(InvalidInput, match="a dict is no chat model"):
        open_chat_model({})


@pytest.mark.parametrize("spec", ["nobody:some-model", "gibberish"])
def test_a_spec_of_nobodys_model_is_refused(spec):
    pytest.importorskip("langchain")
    with pytest.raises(ModelNotFound, match=f"cannot open the chat model '{spec}'"):
        open_chat_model(spec)


def test_a_provider_that_is_not_installed_is_named():
    pytest.importorskip("langchain")
    with pytest.raises(MissingExtra, match=r"pip install.*langchain-cohere"):
        open_chat_model("cohere:command-r")


def test_the_chat_package_imports_neither_framework_nor_model():
    code = (
        "import sys, vlm2vec_rag.chat\n"
        "heavy = ('langchain', 'langchain_core', 'llama_index', 'torch', 'transformers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
