"""What goes through the pipe: everything arrives as it was, and nonsense is refused."""

from __future__ import annotations

import io
import json

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm2vec_rag import errors
from vlm2vec_rag.items import Clip, Image, Page, Text
from vlm2vec_rag.media import MediaInfo, Word, wire

IMAGES = [PIL.Image.effect_noise((30 + index, 40), 90).convert("RGB") for index in range(3)]
VALUES = [
    None,
    3.5,
    "Größe \udce9",
    [1, [True, "x"]],
    {"a": [1, None]},
    MediaInfo(kind="pdf", format="pdf", items=3, pages=3),
    [Word("one", 0.1, 0.2, 0.3, 0.4), Word("two", 0.5, 0.6, 0.7, 0.8)],
    Text(text="words", source="a.txt", title="T", start_char=7, metadata={"encoding": "utf-8"}),
    Image(image=IMAGES[0], source="a.png", metadata={"frames_in_file": 2}),
    Page(image=IMAGES[1], page=4, label="iv", title="One", text="words", source="a.pdf"),
    Clip(frames=tuple(IMAGES), times_s=(0.0, 0.5, 1.1), start_s=0.0, end_s=1.2, text="said", source="a.mp4"),
]


def sent(value: object, most_bytes: int = 10**6) -> object:
    pipe = io.BytesIO()
    wire.write(pipe, value)
    pipe.seek(0)
    return wire.read(pipe, most_bytes)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_arrive_as_they_were(value):
    got = sent(value)
    assert got == value and type(got) is type(value)
    if isinstance(value, Image | Page | Clip | Text):
        assert got.content_hash == value.content_hash


@pytest.mark.parametrize("name", [name for name in dir(errors) if isinstance(getattr(errors, name), type)])
def test_errors_arrive_as_themselves(name):
    kind = getattr(errors, name)
    got = sent(kind("a.pdf: is broken"))
    assert type(got) is kind and str(got) == "a.pdf: is broken"


def test_an_error_that_is_none_of_ours_is_not_made():
    body = json.dumps({"value": {"!": "error", "class": "__builtins__", "message": "x"}, "sizes": []}).encode()
    with pytest.raises(wire.Disconnected):
        wire.read(io.BytesIO(len(body).to_bytes(8, "big") + body), 1000)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_is_no_message(noise):
    for data in (noise, len(noise).to_bytes(8, "big") + noise):
        with pytest.raises(wire.Disconnected):
            wire.read(io.BytesIO(data), 10**6)


@pytest.mark.parametrize(
    "message",
    [
        {"value": 1},
        {"value": 1, "sizes": [[1]]},
        {"value": 1, "sizes": [[-1, 5]]},
        {"value": 1, "sizes": [[10**6, 10**6]]},  # refused by its size, before any memory is taken for it
        {"value": 1, "sizes": [[-(10**6), 10**6], [10**6, 10**6]]},  # together they would be nothing
        {"value": {"!": "image", "index": 5}, "sizes": []},
        {"value": {"!": "Page", "fields": {"surprise": 1}}, "sizes": []},
        {"value": {"!": "os.system", "fields": {}}, "sizes": []},
        {"value": 1, "sizes": [[20, 20]]},  # the pixels are missing
        [],
    ],
)
def test_messages_that_make_no_sense(message):
    body = json.dumps(message).encode()
    with pytest.raises(wire.Disconnected):
        wire.read(io.BytesIO(len(body).to_bytes(8, "big") + body), 10**6)


def test_a_message_larger_than_allowed():
    with pytest.raises(wire.Disconnected):
        sent(Image(image=IMAGES[0]), most_bytes=1000)
