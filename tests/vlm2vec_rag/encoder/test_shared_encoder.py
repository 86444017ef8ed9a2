"""One model in memory, however many components name it."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

from vlm2vec_rag.encoder.shared import shared_encoder


def test_the_same_settings_share_one_encoder_even_at_the_same_moment(tiny_base):
    with ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(lambda _: shared_encoder(model=tiny_base, device="cpu", frames=2), range(4)))
    assert len({id(encoder) for encoder in encoders}) == 1


def test_other_settings_are_another_encoder(tiny_base):
    one = shared_encoder(model=tiny_base, device="cpu", frames=2)
    other = shared_encoder(model=tiny_base, device="cpu", frames=3)
    assert one is not other and (one.frames, other.frames) == (2, 3)


def test_it_is_freed_with_its_last_holder(tiny_base):
    gone = weakref.ref(shared_encoder(model=tiny_base, device="cpu", frames=5))
    gc.collect()
    assert gone() is None
