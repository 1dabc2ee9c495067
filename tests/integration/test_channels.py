"""Channels and events through the socket: order, waiting, bounds, who goes away, and what survives the daemon."""

import json
import signal
import threading

import pytest
from harness import seconds, until


def channel(client, name):
    return next(row for row in client.call("channel.list")["channels"] if row["name"] == name)


def test_put_and_get_wait_for_each_other(daemon, client):
    client.call("channel.open", name="a", capacity=1)
    with daemon.connect() as other:
        taking = other.post("channel.get", name="a")
        until(lambda: channel(client, "a")["getting"] == 1)
        client.call("channel.put", name="a", item={"x": [1, None]})
        assert other.answer(taking) == {"items": [{"x": [1, None]}]}
        client.call("channel.put", name="a", item=1)
        putting = other.post("channel.put", name="a", item=2)
        until(lambda: channel(client, "a")["putting"] == 1)
        assert client.call("channel.get", name="a", count=5)["items"] == [1]
        assert other.answer(putting) == {}
        assert client.call("channel.get", name="a", count=5)["items"] == [2]


def test_timeouts(client):
    client.call("channel.open", name="t", capacity=1)
    for timeout in (0, 0.05):
        assert client.error("channel.get", name="t", timeout=timeout).kind == "timed_out"
    client.call("channel.put", name="t", item=1, timeout=0)
    for timeout in (0, 0.05):
        assert client.error("channel.put", name="t", item=2, timeout=timeout).kind == "timed_out"
    assert channel(client, "t")["items"] == 1 and channel(client, "t")["putting"] == 0
    assert client.call("channel.get", name="t", timeout=0)["items"] == [1]


def test_close_and_remove(daemon, client):
    client.call("channel.open", name="c", capacity=2)
    client.call("channel.put", name="c", item=1)
    client.call("channel.close", name="c")
    assert client.error("channel.put", name="c", item=2).kind == "conflict"
    assert client.call("channel.get", name="c") == {"items": [1]}
    assert client.call("channel.get", name="c") == {"items": [], "closed": True}
    client.call("channel.open", name="c", capacity=2)
    waits = client.post("channel.get", name="c")
    with daemon.connect() as other:
        until(lambda: channel(other, "c")["getting"] == 1)
        other.call("channel.remove", name="c")
    with pytest.raises(Exception, match="not_found"):
        client.answer(waits)
    error = client.error("channel.get", name="c")
    assert (error.kind, error.field) == ("not_found", "name")


def test_what_a_peer_did_not_take_goes_back(daemon, client):
    """A getter that is killed takes nothing with it, neither while it waits nor with the answer on its way."""
    client.call("channel.open", name="k", capacity=100)
    gone = daemon.connect()
    gone.post("channel.get", name="k")
    until(lambda: channel(client, "k")["getting"] == 1)
    # In one write with the put that serves it, the getter is gone before the daemon can notice it.
    gone.close()
    client.call("channel.put", name="k", item="first")
    assert client.call("channel.get", name="k", timeout=seconds(5))["items"] == ["first"]
    # An answer that does not fit into the socket of one that reads nothing: all of it goes back, in order.
    items = ["x" * 900_000 + str(number) for number in range(8)]
    for item in items:
        client.call("channel.put", name="k", item=item)
    with daemon.connect() as slow:
        slow.post("channel.get", name="k", count=8)
        until(lambda: channel(client, "k")["items"] == 0)
    until(lambda: channel(client, "k")["items"] == 8)
    assert client.call("channel.get", name="k", count=8)["items"] == items


def test_bounds(daemon, client):
    client.call("channel.open", name="b", capacity=2)
    text = "x" * ((1 << 20) - 2)
    client.call("channel.put", name="b", item=text)
    error = client.error("channel.put", name="b", item=text + "x")
    assert (error.kind, error.data["limit"], error.field) == ("limit_exceeded", "channel_item_bytes_max", "item")
    for field, value in (("capacity", 0), ("capacity", 1_000_001), ("name", ""), ("name", "n" * 257)):
        assert client.error("channel.open", **{"name": "x", "capacity": 1, field: value}).field == field
    client.call("channel.open", name="x" * 256, capacity=1_000_000)
    for count in (0, 10_001):
        assert client.error("channel.get", name="b", count=count).field == "count"
    assert client.error("channel.put", name="b").field == "item"
    with daemon.connect() as other:
        waiting = [other.post("channel.get", name="x" * 256) for _ in range(1024)]
        error = other.error("channel.get", name="x" * 256)
        assert (error.kind, error.data["value"]) == ("limit_exceeded", 1024)
        for number, request in enumerate(waiting):
            client.call("channel.put", name="x" * 256, item=number)
        assert [other.answer(request)["items"][0] for request in waiting] == list(range(1024)), "in the order of the calls"


def test_puts_that_find_room_are_pipelined(client):
    client.call("channel.open", name="p", capacity=5000, durable=True)
    requests = [client.post("channel.put", name="p", item=number) for number in range(3000)]
    for request in requests:
        client.answer(request)
    assert client.call("channel.get", name="p", count=5000)["items"] == list(range(3000))


def test_a_waiting_call_is_refused_in_a_batch(client):
    client.send(json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "channel.get", "params": {"name": "a"}},
                            {"jsonrpc": "2.0", "id": 2, "method": "event.wait", "params": {"name": "a"}}]) + "\n")
    assert [one["error"]["data"]["kind"] for one in client.read_line()] == ["invalid_request"] * 2


def test_events(daemon, client):
    assert client.error("event.wait", name="go", timeout=0).kind == "timed_out"
    assert client.error("event.wait", name="go", timeout=0.05).kind == "timed_out"
    assert client.call("event.list")["events"] == []
    with daemon.connect() as other:
        waits = [other.post("event.wait", name="go") for _ in range(3)]
        until(lambda: client.call("event.list")["events"] == [{"name": "go", "set": False, "waiting": 3}])
        client.call("event.set", name="go")
        for one in waits:
            assert other.answer(one) == {}
    assert client.call("event.wait", name="go") == {}
    assert client.call("event.list")["events"] == [{"name": "go", "set": True, "waiting": 0}]
    client.call("event.clear", name="go")
    client.call("event.clear", name="go")
    assert client.error("event.wait", name="go", timeout=0).kind == "timed_out"


def test_what_survives_a_restart(start):
    daemon = start()
    with daemon.connect() as client:
        client.call("channel.open", name="kept", capacity=2, durable=True)
        client.call("channel.open", name="done", capacity=5, durable=True)
        client.call("channel.open", name="gone", capacity=2)
        for number in range(2):
            client.call("channel.put", name="kept", item=number)
            client.call("channel.put", name="done", item=number)
        client.call("channel.put", name="gone", item=1)
        client.call("channel.get", name="done")
        client.call("channel.close", name="done")
        client.call("event.set", name="go")
        client.call("event.set", name="stop")
        client.call("event.clear", name="stop")
        lost = client.post("channel.put", name="kept", item="never accepted")
        until(lambda: channel(client, "kept")["putting"] == 1)
        assert lost not in client.answers
    daemon.restart()
    with daemon.connect() as client:
        assert [row["name"] for row in client.call("channel.list")["channels"]] == ["done", "kept"]
        assert client.error("channel.put", name="kept", item=2, timeout=0).kind == "timed_out", "it is full"
        assert client.call("channel.get", name="kept", count=9)["items"] == [0, 1]
        assert client.call("channel.get", name="done", count=9)["items"] == [1]
        assert client.call("channel.get", name="done")["closed"]
        assert client.call("event.list")["events"] == [{"name": "go", "set": True, "waiting": 0}]
        client.call("channel.remove", name="done")
    daemon.restart()
    with daemon.connect() as client:
        assert [(row["name"], row["items"]) for row in client.call("channel.list")["channels"]] == [("kept", 0)]


def test_who_waits_is_told_when_the_daemon_goes(start):
    daemon = start()
    client = daemon.connect()
    client.call("channel.open", name="c", capacity=1)
    waits = [client.post("channel.get", name="c"), client.post("event.wait", name="go")]
    until(lambda: channel(client, "c")["getting"] == 1)
    daemon.process.send_signal(signal.SIGTERM)
    for one in waits:
        with pytest.raises(Exception, match="draining"):
            client.answer(one)


def test_many_to_many(daemon, client):
    """Every item arrives exactly once."""
    client.call("channel.open", name="m", capacity=10)
    total, seen, lock = 600, [], threading.Lock()

    def put(part):
        with daemon.connect() as peer:
            for number in range(part, total, 3):
                peer.call("channel.put", name="m", item=number)

    def get():
        with daemon.connect() as peer:
            while True:
                answer = peer.call("channel.get", name="m", count=3)
                with lock:
                    seen.extend(answer["items"])
                if answer.get("closed"):
                    return

    threads = [threading.Thread(target=put, args=(part,)) for part in range(3)] + [threading.Thread(target=get) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads[:3]:
        thread.join(seconds(30))
    client.call("channel.close", name="m")
    for thread in threads[3:]:
        thread.join(seconds(30))
    assert sorted(seen) == list(range(total))
