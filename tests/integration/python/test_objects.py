"""Event, Queue, Lock, Semaphore and Barrier of stint.py, held against those of threading and queue."""

import contextlib
import gc
import os
import pickle
import queue
import subprocess
import sys
import threading
import time

import harness
import pytest
import stint
from harness import seconds, until


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


# ---- waits and restarts
WAITS = {
    "event.wait": (lambda client: stint.Event("go", client=client).wait(), True),
    "lock.acquire": (lambda client: stint.Lock("held", client=client).acquire(), True),
    "semaphore.acquire": (lambda client: stint.Semaphore("none left", client=client).acquire(), True),
    "channel.get": (lambda client: stint.Queue("empty", client=client).get(), "came"),
    "channel.put": (lambda client: stint.Queue("full", client=client).put(2), None),
}


def waiting(client):
    """How many wait for something."""
    return (sum(row["waiting"] for family in ("lock", "semaphore", "event") for row in client.call(f"{family}.list")[f"{family}s"])
            + sum(row["getting"] + row["putting"] for row in client.call("channel.list")["channels"]))


def set_the_scene(client):
    """Nothing that WAITS waits for is there; returns what makes it come."""
    held, none_left = stint.Lock("held", client=client), stint.Semaphore("none left", 1, client=client)
    full, empty = stint.Queue("full", 1, durable=True, client=client), stint.Queue("empty", 1, durable=True, client=client)
    held.acquire()
    none_left.acquire()
    full.put(1)

    def let_go():
        stint.Event("go", client=client).set()
        held.release()
        none_left.release()
        assert full.get() == 1
        empty.put("came")

    return let_go


@pytest.mark.parametrize("orderly", [False, True])
def test_waits_go_on_at_the_next_daemon(start, orderly):
    # What a call that changes something has done cannot be known after a kill; a daemon that goes in good order says that it is nothing.
    waits = {method: wait for method, wait in WAITS.items() if orderly or not method.startswith("channel.")}
    daemon = start()
    with stint.Client(daemon.socket) as client, contextlib.ExitStack() as clients:
        let_go = set_the_scene(client)
        threads = {method: in_thread(wait, clients.enter_context(stint.Client(daemon.socket))) for method, (wait, _) in waits.items()}
        until(lambda: waiting(client) == len(waits), what="all to wait")
        daemon.restart(orderly)
        until(lambda: waiting(client) == len(waits), what="all to wait again")
        let_go()
        for thread, _ in threads.values():
            thread.join(seconds(10))
        assert {method: results for method, (_, results) in threads.items()} == {method: [gives] for method, (_, gives) in waits.items()}
        if orderly:
            assert stint.Queue("full", client=client).get_many(10) == [2], "it was put once"


# ---- Lock
def test_lock(place):
    lock = stint.Lock()
    assert lock.token is None and not lock.locked()
    with pytest.raises(RuntimeError, match="release without acquire"):
        lock.release()
    assert lock.acquire() is True and lock.locked()
    first = lock.token
    same = pickle.loads(pickle.dumps(lock))
    assert same.token is None, "the copy means the same lock, and holds nothing"
    assert same.acquire(blocking=False) is False
    before = time.monotonic()
    assert same.acquire(timeout=0.05) is False and time.monotonic() - before >= 0.05
    for wrong in ({"blocking": False, "timeout": 1}, {"timeout": -2}):
        with pytest.raises(ValueError):
            same.acquire(**wrong)
    thread, results = in_thread(same.acquire)
    lock.release()
    thread.join(seconds(10))
    assert results == [True] and same.token > first, "a fencing number only grows"
    same.release()
    assert not lock.locked() and same.token is None


def test_lock_keeps_others_out(place):
    name, inside, most = stint.Lock().name, [], []

    def work():
        for _ in range(20):
            with stint.Lock(name):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [in_thread(work) for _ in range(4)]
    for thread, results in threads:
        thread.join(seconds(30))
        assert results == [None]
    assert most == [1] * 80


def test_a_lock_is_free_when_its_process_is_killed(place):
    lock = stint.Lock()
    code = "import stint, sys; stint.Lock(sys.argv[1]).acquire(); print('held', flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(stint.__file__)}
    with subprocess.Popen([sys.executable, "-c", code, lock.name], env=environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert lock.acquire(False) is False
        thread, results = in_thread(lock.acquire)
        holder.kill()
        thread.join(seconds(10))
    assert results == [True]
    lock.release()


def test_a_circle_is_a_conflict(place):
    left, right = stint.Lock(), stint.Lock()
    met = threading.Barrier(2)

    def hold(first, second):
        with first:
            met.wait()
            with second:
                return "both"

    threads = [in_thread(hold, left, right), in_thread(hold, right, left)]
    for thread, _ in threads:
        thread.join(seconds(30))
    (one,), (other,) = (results for _, results in threads)
    assert "both" in (one, other), "one of them gives way, the other goes on"
    conflict = one if other == "both" else other
    assert isinstance(conflict, stint.Conflict) and f"lock {left.name}" in conflict.data["circle"]


def test_a_lock_is_kept_over_a_restart_of_the_daemon(start):
    daemon = start()
    with stint.Client(str(daemon.socket)) as client, stint.Client(str(daemon.socket)) as other:
        with stint.Lock("kept", client=client) as held:
            assert held is True
            daemon.restart()
            client.call("daemon.info")  # it has come back, and taken up its lease
            assert stint.Lock("kept", client=other).acquire(timeout=0.1) is False
        assert stint.Lock("kept", client=other).acquire(timeout=seconds(10)) is True


@pytest.mark.parametrize("orderly", [False, True])
@pytest.mark.parametrize("kind", [stint.Lock, stint.Semaphore])
def test_the_first_call_after_a_restart_may_be_the_release(start, kind, orderly):
    daemon = start()
    with stint.Client(daemon.socket) as client:
        if kind is stint.Semaphore:
            client.call("semaphore.set", name="kept", permits=1)
        one = kind("kept", client=client)
        with one:
            daemon.restart(orderly)
        assert not client._leases and one.acquire(blocking=False) is True, "it has been given back"


def test_what_was_lost_with_the_connection_is_told_at_the_release(start):
    daemon = start(lease__reclaim=0.05)
    with stint.Client(daemon.socket) as client, stint.Client(daemon.socket) as other:
        lock = stint.Lock("lost", client=client)
        lock.acquire()
        daemon.restart()
        assert stint.Lock("lost", client=other).acquire(timeout=seconds(10)) is True, "its holder has been silent for too long"
        with pytest.raises(stint.ConnectionLost, match="others may have held it"):
            lock.release()
        with pytest.raises(RuntimeError):
            lock.release()
        assert stint.Lock("lost", client=client).acquire(blocking=False) is False, "the other's is left alone"


# ---- Semaphore
def test_semaphore(place):
    semaphore = stint.Semaphore(value=2)
    other = stint.Semaphore(semaphore.name)
    with semaphore:
        assert other.acquire(blocking=False) is True
        assert other.acquire(blocking=False) is False and other.acquire(timeout=0.01) is False
        assert semaphore.token != other.token
    with pytest.raises(RuntimeError):
        semaphore.release()
    assert semaphore.acquire() is True, "the permit that came back"
    semaphore.release()
    other.release()
    assert semaphore.acquire(permits=2) is True and other.acquire(False) is False
    semaphore.release()
    for wrong in (lambda: stint.Semaphore(value=-1), lambda: semaphore.release(0)):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(stint.NotFound):
        stint.Semaphore("never given a size").acquire()
    with pytest.raises(stint.LimitExceeded):
        semaphore.acquire(permits=3)


# ---- Barrier
def test_barrier(place):
    barrier = stint.Barrier(parties=3)
    for _ in range(3):  # it is used again and again
        threads = [in_thread(stint.Barrier(barrier.name, 3).wait) for _ in range(2)]
        while barrier.n_waiting < 2:
            assert all(thread.is_alive() for thread, _ in threads), "nobody passes before the last arrives"
        mine = barrier.wait()
        for thread, _ in threads:
            thread.join(seconds(10))
        assert sorted([mine, *(results[0] for _, results in threads)]) == [0, 1, 2]
        assert barrier.n_waiting == 0


def test_a_barrier_breaks_for_all_and_is_mended(place):
    barrier = stint.Barrier(parties=3)
    waiting = in_thread(barrier.wait)
    while barrier.n_waiting < 1:
        pass
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(timeout=0.01)
    waiting[0].join(seconds(10))
    assert isinstance(waiting[1][0], threading.BrokenBarrierError) and barrier.broken
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken
    waiting = in_thread(barrier.wait)
    while barrier.n_waiting < 1:
        pass
    barrier.abort()
    waiting[0].join(seconds(10))
    assert isinstance(waiting[1][0], threading.BrokenBarrierError)
    with pytest.raises(ValueError):
        stint.Barrier(parties=0)


# ---- what has no name
@pytest.fixture
def left(link):
    """Asks for the names of all that the daemon keeps and did not keep before."""

    def ask():
        semaphores = link.call("semaphore.list")["semaphores"]
        return {*(row["name"] for family in ("channel", "event") for row in link.call(f"{family}.list")[f"{family}s"]),
                *(row["name"] for row in semaphores if row["permits"] > 0)} - before

    before = set()
    before = ask()
    return ask


def use_without_names(client=None):
    """One of each, in use and in part dropped in the middle of it."""
    stint.Queue(client=client).put(1)
    stint.Queue(maxsize=3, durable=True, client=client).close()
    stint.Event(client=client).set()
    stint.Event(client=client).wait(0)
    stint.Semaphore(value=2, client=client).acquire()
    with stint.Lock(client=client):
        pass
    barrier = stint.Barrier(parties=2, client=client)
    for _ in range(3):
        thread, _ = in_thread(barrier.wait)
        barrier.wait()
        thread.join(seconds(10))
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(timeout=0)
        barrier.reset()


def test_what_has_no_name_is_removed_when_it_is_dropped(place, left):
    use_without_names()
    cycle = [stint.Queue(maxsize=1)]
    cycle.append(cycle)
    name = repr(cycle[0]).split("'")[1]
    assert name in left(), "while it is there, it is there"
    del cycle
    gc.collect()
    stint.Event().is_set()  # the next call takes along what is to be removed
    until(lambda: not left(), what="the end of what was dropped")


def test_what_has_no_name_is_removed_with_its_client(place, left):
    with stint.Client() as client:
        use_without_names(client)
        kept = stint.Queue(client=client), stint.Event(client=client), stint.Barrier(parties=1, client=client)
        kept[1].set()
        kept[2].wait()
        assert len(left()) >= 4
    assert left() == set()
    stint.Queue(client=stint.Client()).put(1)
    until(lambda: not left(), what="the end of what was dropped with its client")


USES = """
import sys
sys.path[:0] = {paths!r}
import stint, test_objects
kept = stint.Queue(), stint.Event(), stint.Semaphore(value=3), stint.Barrier(parties=1)
kept[1].set()
kept[3].wait()
if __name__ == "__main__":
    test_objects.use_without_names()
    stint.Queue("by name", 1).put(1)
    with stint.Executor(1) as executor:
        executor.submit(test_objects.use_without_names).result()
    {end}
"""


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)", "kept[0].put(1); kept[2].acquire()",
                                 "events = stint.default_client().events()"])
def test_what_has_no_name_is_removed_when_its_process_ends(place, left, end):
    paths = [os.path.dirname(stint.__file__), os.path.dirname(__file__), os.path.dirname(harness.__file__)]
    subprocess.run([sys.executable, "-B", "-c", USES.format(paths=paths, end=end)], check=True, timeout=seconds(30))
    until(lambda: left() == {"by name"}, what="the end of what has no name")
    stint.Queue("by name").remove()


def test_what_others_may_know_is_left_to_its_owner(place, left):
    told, sent, inherited = stint.Queue(maxsize=1), stint.Queue(maxsize=1), stint.Queue(maxsize=1)
    name, copy = told.name, pickle.loads(pickle.dumps(sent))
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    mine = stint.Queue(maxsize=1)
    del told, sent, inherited, mine
    gc.collect()
    stint.Event().is_set()
    until(lambda: len(left()) == 3, what="the end of what nobody else can know")
    copy.remove()
    for each in left():
        stint.Queue(each).remove()
    assert left() == set()

    barrier = stint.Barrier(parties=1)
    assert stint.Barrier(barrier.name, 1).wait() == 0
    for _ in range(40):
        barrier.abort()
        barrier.reset()
    assert len(left()) < 20, "old rounds are forgotten"
    semaphore = stint.Semaphore(value=2)
    assert stint.Semaphore(semaphore.name).acquire(False) is True
    with pytest.raises(RuntimeError):
        semaphore.release()
    barrier.remove()
    semaphore.remove()
    assert left() == set()


def test_a_dropped_object_brings_no_connection_back(start, monkeypatch):
    daemon = start()
    with stint.Client(daemon.socket, reconnect=0.1) as client:
        lost = stint.Queue(client=client), stint.Event(client=client)
        lost[1].set()
        daemon.kill()
        monkeypatch.setattr(stint, "_try_connect", lambda candidate: pytest.fail("it connects"))
        del lost
        gc.collect()
    monkeypatch.undo()
    daemon.launch()
    daemon.until_serving()
