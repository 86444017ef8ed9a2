"""Reading ahead keeps the order, carries errors, stays within its depth and stops when it is left."""

import threading
import time

import pytest

from vlm2vec_rag.prefetch import prefetch


def test_elements_come_in_order():
    with prefetch(range(100), 4) as ahead:
        assert list(ahead) == list(range(100))


def test_an_error_is_raised_where_its_element_would_have_come():
    def source():
        yield 1
        raise ValueError("broken")

    with prefetch(source(), 4) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="broken"):
            next(ahead)


def test_no_more_than_its_depth_is_read_ahead():
    read = []

    def source():
        for number in range(100):
            read.append(number)
            yield number

    with prefetch(source(), 3) as ahead:
        next(ahead)
        time.sleep(0.3)
        assert len(read) <= 1 + 3 + 1  # taken, waiting, and in the thread's hand


def test_leaving_early_stops_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            yield from range(10**9)
        finally:
            closed.set()

    with prefetch(source(), 2) as ahead:
        next(ahead)
    assert closed.wait(5)
    assert not any(thread.name == "vlm2vec-prefetch" for thread in threading.enumerate())


def test_a_block_that_is_interrupted_does_not_wait_for_the_element_under_way():
    given_up = threading.Event()

    def source():
        yield 1
        given_up.wait()  # a page that takes all day, until it is given up
        raise RuntimeError("given up")

    with pytest.raises(KeyboardInterrupt), prefetch(source(), 4, cancel=given_up.set) as ahead:
        assert next(ahead) == 1
        raise KeyboardInterrupt
    assert given_up.is_set()
