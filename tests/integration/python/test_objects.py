"""Event and Queue of stint.py, held against threading.Event and queue.Queue."""

import pickle
import queue
import sys
import threading
import time

import pytest
import stint
from harness import seconds


def in_thread(function, *args):
    """Runs it beside the test; returns the thread and the list that will hold what it gave or raised."""
    results = []

    def work():
        try:
            results.append(function(*args))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


# ---- Event
def test_event(place):
    event = stint.Event()
    assert not event.is_set() and event.wait(0) is False
    before = time.monotonic()
    assert event.wait(0.05) is False and time.monotonic() - before >= 0.05
    waiting = [in_thread(stint.Event(event.name).wait) for _ in range(3)]
    event.set()
    for thread, results in waiting:
        thread.join(seconds(10))
        assert results == [True]
    assert event.is_set() and event.wait() is True
    event.set()
    event.clear()
    event.clear()
    assert not event.is_set()


def test_names_are_shared_and_travel(place):
    event = stint.Event("by name")
    event.set()
    try:
        assert stint.Event("by name").is_set() and not stint.Event("another").is_set()
        assert pickle.loads(pickle.dumps(event)).is_set()
        assert stint.Event().name != stint.Event().name
        code = "import stint, sys; print(stint.Event('by name').is_set())"
        assert stint.run([sys.executable, "-c", code], capture_output=True, text=True,
                         env={**stint.os.environ, "PYTHONPATH": stint.os.path.dirname(stint.__file__)}).stdout == "True\n"
    finally:
        event.clear()


# ---- Queue
@pytest.fixture
def box(place):
    one = stint.Queue(maxsize=2)
    yield one
    one.remove()


def test_queue_keeps_the_order_and_blocks_while_full(box):
    assert box.empty() and not box.full() and box.qsize() == 0
    box.put({"a": [1, None]})
    box.put("two")
    assert box.full() and box.qsize() == 2
    with pytest.raises(queue.Full):
        box.put(3, block=False)
    with pytest.raises(queue.Full):
        box.put_nowait(3)
    with pytest.raises(queue.Full):
        box.put(3, timeout=0.02)
    thread, results = in_thread(box.put, 3)
    assert box.get() == {"a": [1, None]}
    thread.join(seconds(10))
    assert results == [None]
    assert [box.get(), box.get(timeout=1)] == ["two", 3]
    for get in (box.get_nowait, lambda: box.get(False), lambda: box.get(timeout=0.02)):
        with pytest.raises(queue.Empty):
            get()
    for call in (lambda: box.get(timeout=-1), lambda: box.put(1, timeout=-1)):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(TypeError):
        box.put(object())


def test_queue_blocks_while_empty(box):
    thread, results = in_thread(stint.Queue(box.name).get)
    box.put(None)
    thread.join(seconds(10))
    assert results == [None]


def test_queue_closes(box):
    box.put(1)
    box.put(2)
    box.close()
    with pytest.raises(stint.Closed):
        box.put(3)
    assert list(box) == [1, 2]
    with pytest.raises(stint.Closed):
        box.get()
    assert list(stint.Queue(box.name)) == [], "who attaches does not open it again"


def test_queue_is_shut_down_at_once(box):
    box.put(1)
    thread, results = in_thread(lambda: [box.get(), box.get()])
    thread.join(0.01)
    box.shutdown(immediate=True)
    thread.join(seconds(10))
    assert isinstance(results[0], stint.Closed)


def test_queue_without_a_bound(place):
    big = stint.Queue("unbounded on demand")
    for number in range(300):
        big.put(number)
    assert big.get_many(1000) == list(range(300))
    big.remove()


def test_many_producers_and_consumers(place):
    made, used = stint.Queue(maxsize=5), []

    def produce(number):
        with stint.Client() as client:
            mine = stint.Queue(made.name, client=client)
            for k in range(30):
                mine.put([number, k])

    def consume():
        for item in made:
            used.append(item)

    producers = [threading.Thread(target=produce, args=(number,)) for number in range(4)]
    consumers = [threading.Thread(target=consume) for _ in range(3)]
    for each in producers + consumers:
        each.start()
    for each in producers:
        each.join(seconds(20))
    made.close()
    for each in consumers:
        each.join(seconds(20))
    assert sorted(used) == [[number, k] for number in range(4) for k in range(30)]
    made.remove()


def test_a_durable_queue_survives_a_restart(start):
    daemon = start()
    with stint.Client(daemon.socket) as client:
        kept = stint.Queue("kept", 10, durable=True, client=client)
        kept.put("still here")
        daemon.restart()
        assert kept.get() == "still here"
