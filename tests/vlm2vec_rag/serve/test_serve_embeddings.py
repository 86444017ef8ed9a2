"""Existing clients get this library's vectors: OpenAI's, Cohere's, LangChain's and LlamaIndex's, over HTTP."""

import base64
import io
import threading

import httpx
import numpy as np
import pytest
from PIL import Image as PILImage
from serving import TOKEN, free_port

from vlm2vec_rag.doctor import check_encoder_server
from vlm2vec_rag.errors import InvalidInput
from vlm2vec_rag.items import Image, Query
from vlm2vec_rag.library import open_library
from vlm2vec_rag.serve.app import build_app
from vlm2vec_rag.serve.served import Served
from vlm2vec_rag.serve.settings import ServeSettings

TEXTS = ["Revenue rose in the second quarter.", "A violin on blue velvet"]
CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def address(encoder):
    """A server on a free port, in a thread, over a collection of the tiny model."""
    import uvicorn

    port = free_port()
    settings = ServeSettings(port=port, token=TOKEN)
    with open_library(":memory:", encoder) as library:
        served = Served("tiny", library, settings)
        app = build_app([served], settings)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            thread.join(0.05)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()
        served.close()


@pytest.fixture(scope="module")
def post(address):
    """Post JSON with the token."""

    def post(path, **body):
        return httpx.post(address + path, json=body, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)

    return post


@pytest.fixture(scope="module")
def picture():
    """An image, as PIL has it and as a data: URI."""
    image = PILImage.new("RGB", (112, 84), "navy")
    image.paste("gold", (20, 20, 60, 60))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return image, "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_openais_client_gets_the_vectors_of_items_and_of_queries(address, encoder):
    from openai import OpenAI

    with OpenAI(base_url=f"{address}/v1", api_key=TOKEN, max_retries=0) as client:
        # its own default is base64; float is asked for by hand
        for encoding in (None, "float", "base64"):
            extra = {} if encoding is None else {"encoding_format": encoding}
            answer = client.embeddings.create(model="tiny", input=TEXTS, **extra)
            got = [each.embedding for each in answer.data]
            got = [np.frombuffer(base64.b64decode(each), "<f4") if isinstance(each, str) else each for each in got]
            np.testing.assert_allclose(got, encoder.encode_items(TEXTS), **CLOSE)
        asked = client.embeddings.create(model="tiny:query", input=TEXTS[0]).data[0].embedding
        np.testing.assert_allclose(asked, encoder.encode_queries([TEXTS[0]])[0], **CLOSE)
        other = client.embeddings.create(model="tiny", input=TEXTS[0], extra_body={"input_type": "query"})
        np.testing.assert_allclose(other.data[0].embedding, asked, **CLOSE)
        assert client.models.list().data[0].id == encoder.fingerprint.model


def test_langchains_class_works(address, encoder):
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(model="tiny", base_url=f"{address}/v1", api_key=TOKEN, check_embedding_ctx_length=False)
    np.testing.assert_allclose(made.embed_documents(TEXTS), encoder.encode_items(TEXTS), **CLOSE)
    np.testing.assert_allclose(made.embed_query(TEXTS[0]), encoder.encode_items(TEXTS[:1])[0], **CLOSE)
    made.client._client.close()


def test_llama_indexes_class_works(address, encoder):
    from llama_index.embeddings.openai import OpenAIEmbedding

    made = OpenAIEmbedding(model_name="tiny", api_base=f"{address}/v1", api_key=TOKEN, reuse_client=True)
    np.testing.assert_allclose(made.get_text_embedding_batch(TEXTS), encoder.encode_items(TEXTS), **CLOSE)
    made._get_client().close()


def test_coheres_client_gets_both_sides(address, encoder, picture):
    import cohere

    image, uri = picture
    with httpx.Client(timeout=60) as http:  # it closes none of its own
        client = cohere.ClientV2(api_key=TOKEN, base_url=address, httpx_client=http)
        found = client.embed(model="tiny", input_type="search_document", texts=TEXTS, embedding_types=["float"])
        np.testing.assert_allclose(found.embeddings.float_, encoder.encode_items(TEXTS), **CLOSE)
        asked = client.embed(model="tiny", input_type="search_query", texts=TEXTS[:1], embedding_types=["float"])
        np.testing.assert_allclose(asked.embeddings.float_, encoder.encode_queries(TEXTS[:1]), **CLOSE)
        shown = client.embed(model="tiny", input_type="image", images=[uri], embedding_types=["float"])
        np.testing.assert_allclose(shown.embeddings.float_, encoder.encode_items([Image(image=image)]), **CLOSE)


def test_inputs_of_words_and_images_together(post, encoder, picture):
    image, uri = picture
    content = [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": "What is gold?"}]
    answer = post("/v2/embed", model="", input_type="search_query", inputs=[{"content": content}]).json()
    expected = encoder.encode_queries([Query(text="What is gold?", image=image)])
    np.testing.assert_allclose(answer["embeddings"]["float"], expected, **CLOSE)


def test_messages_as_vllm_takes_them(post, encoder, picture):
    image, uri = picture
    instruction = "Find an everyday image that matches the given caption."
    messages = [
        {"role": "system", "content": [{"type": "text", "text": instruction}]},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": "gold"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": ""}]},
    ]
    answer = post("/v1/embeddings", model="", messages=messages, encoding_format="float", add_special_tokens=True)
    expected = encoder.encode_queries([Query(text="gold", image=image, instruction=instruction)])[0]
    np.testing.assert_allclose(answer.json()["data"][0]["embedding"], expected, **CLOSE)
    assert answer.headers["x-fingerprint"] == encoder.fingerprint.digest
    item = post("/v1/embeddings", messages=[{"role": "user", "content": "A text"}], encoding_format="float").json()
    np.testing.assert_allclose(item["data"][0]["embedding"], encoder.encode_items(["A text"])[0], **CLOSE)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/embeddings", {"input": [[1, 2, 3]]}, "check_embedding_ctx_length=False"),
        ("/v1/embeddings", {"input": [1, 2, 3]}, "token ids"),
        ("/v1/embeddings", {"input": []}, "empty"),
        ("/v1/embeddings", {"input": "x", "dimensions": 3}, "dimensions is 3"),
        ("/v1/embeddings", {"input": "x", "model": "gpt-9"}, "no model 'gpt-9'"),
        ("/v1/embeddings", {"input": "x", "input_type": "poem"}, "input_type"),
        ("/v1/embeddings", {"input": "x", "encoding_format": "int8"}, "encoding_format"),
        ("/v2/embed", {"input_type": "search_query"}, "one of texts"),
        ("/v2/embed", {"texts": ["x"]}, "input_type"),
        ("/v2/embed", {"input_type": "image", "images": ["http://127.0.0.1:1/a.png"]}, "not fetched"),
        ("/v2/embed", {"input_type": "image", "images": ["/etc/passwd"]}, "base64"),
        ("/v2/embed", {"input_type": "image", "images": ["data:image/png;base64,aGVsbG8="]}, "cannot be read"),
        ("/v2/embed", {"input_type": "search_query", "texts": ["x"], "embedding_types": ["int8"]}, "int8"),
    ],
)
def test_what_cannot_be_embedded_is_refused_with_the_next_step(post, path, body, words):
    answer = post(path, **body)
    assert answer.status_code in (400, 404, 422) and words in answer.json()["error"]["message"], answer.text


def test_the_router_needs_no_collection(encoder):
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from vlm2vec_rag.media import MediaReader
    from vlm2vec_rag.serve.embeddings import embedding_routes

    app = FastAPI()
    with MediaReader() as reader:
        app.include_router(embedding_routes(lambda name: encoder, reader))
        with TestClient(app) as client:
            got = client.post("/v1/embeddings", json={"input": TEXTS}).json()
    np.testing.assert_allclose([each["embedding"] for each in got["data"]], encoder.encode_items(TEXTS), **CLOSE)


def test_the_doctor_tells_a_server_that_gives_the_same_vectors_from_one_that_does_not(address, encoder):
    found = list(check_encoder_server(f"{address}/v1", encoder, token=TOKEN))
    assert [check.state for check in found] == ["ok"] * 4 and "by vlm2vec-rag" in found[0].got
    assert [check.name.rpartition(" of ")[2] for check in found[1:]] == ["texts", "questions", "an image"]

    class Other:
        fingerprint = encoder.fingerprint
        encode_queries = staticmethod(lambda texts: -encoder.encode_queries(texts))
        encode_items = staticmethod(lambda items: encoder.encode_items(items)[:, ::-1])

    wrong = list(check_encoder_server(address, Other(), token=TOKEN))
    assert [check.state for check in wrong] == ["ok", "fault", "fault", "fault"]
    assert "another model, adapter or prompt" in wrong[1].next_step
    refused, nobody = (
        list(check_encoder_server(url, encoder, token=None)) for url in (address, f"http://127.0.0.1:{free_port()}")
    )
    assert [check.state for check in (*refused, *nobody)] == ["fault", "fault"] and "401" in refused[0].got
    with pytest.raises(InvalidInput, match="unencrypted"):
        list(check_encoder_server("http://192.168.1.5", encoder, token=TOKEN))
