"""Bad input by the thousand: an error that says what is wrong, never a crash, and the others are served meanwhile."""

import json
import os
import random
import select
import socket
import threading
import time

import pytest
from harness import SANITIZED, seconds

GOOD = b'{"jsonrpc":"2.0","id":"good","method":"task.list"}\n'
REQUESTS = [
    {"jsonrpc": "2.0", "id": 1, "method": "job.submit", "params": {"job": {"command": ["true"], "env": {"A": "1"}, "timeout": 2.5}}},
    {"jsonrpc": "2.0", "id": "x", "method": "job.submit_many", "params": {"template": {"task": "echo"}, "items": [1, "a", None]}},
    {"jsonrpc": "2.0", "id": 2, "method": "job.wait", "params": {"ids": [1, 2], "until": "first", "timeout": 0}},
    {"jsonrpc": "2.0", "id": 3, "method": "job.results", "params": {"ids": [1], "order": "completion", "timeout": 0}},
    {"jsonrpc": "2.0", "id": 4, "method": "job.output", "params": {"id": 1, "of": "stdout", "offset": 0}},
    {"jsonrpc": "2.0", "id": 5, "method": "job.list", "params": {"limit": 10, "state": "finished"}},
    [{"jsonrpc": "2.0", "id": 6, "method": "daemon.info", "params": {}}],
]
VALUES = [None, True, -1, 0, 1.5, 2**53, 2**63, 2**64 - 1, -(2**63), "", "x" * 5000, [], {}, [[]], {"a": 1}, "\0", "\ud7ff", 1e308, "stream"]


@pytest.fixture(scope="module")
def seed():
    value = int(os.environ.get("STINT_TEST_SEED", random.randrange(2**32)))
    print(f"STINT_TEST_SEED={value}")
    return value


@pytest.fixture(autouse=True)
def others_are_served(daemon):
    """A second client does ordinary work all the while."""
    stop, failed, slowest = threading.Event(), [], [0.0]

    def work():
        try:
            with daemon.connect() as client:
                while not stop.is_set():
                    before = time.monotonic()
                    assert client.run(task="echo", args=1)["result"] == 1
                    slowest[0] = max(slowest[0], time.monotonic() - before)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert not failed, failed
    assert slowest[0] < seconds(2), f"somebody waited {slowest[0]} s"


def is_alive(daemon):
    with daemon.connect() as client:
        client.send(GOOD)
        assert client.read_line()["id"] == "good"


def exchange(client, lines):
    """Sends lines and a good one; everything that was answered before the good one."""
    client.send(b"".join(lines) + GOOD)
    answers = []
    while True:
        answer = client.read_line()
        if answer is None:
            return answers, False
        if isinstance(answer, dict) and answer.get("id") == "good":
            return answers, True
        answers.append(answer)


def errors_in(answers):
    flat = [one for answer in answers for one in (answer if isinstance(answer, list) else [answer])]
    return [one["error"] for one in flat if "error" in one]


def test_bad_json(client, seed):
    rng = random.Random(seed)
    for _ in range(40):
        lines = []
        for _ in range(50):
            text = bytearray(json.dumps(rng.choice(REQUESTS)).encode())
            for _ in range(rng.randint(1, 4)):
                what = rng.randrange(3)
                at = rng.randrange(len(text))
                if what == 0:
                    text[at] = rng.choice(b'{}[]",:0123456789eE+-.\\abtrnul ')
                elif what == 1:
                    del text[at : at + rng.randint(1, 5)]
                else:
                    text[at:at] = rng.choice([b"{", b"[", b'"', b"}", b"]", b",", b"null", b"\\u12"])
                if not text:
                    text = bytearray(b"x")
            lines.append(bytes(text).replace(b"\n", b" ") + b"\n")
        answers, went_on = exchange(client, lines)
        assert went_on
        for error in errors_in(answers):
            assert error["data"]["kind"] != "internal_error" and error["message"], error


def test_wrong_types_and_unknown_fields(client, seed):
    rng = random.Random(seed)
    lines = []
    for _ in range(3000):
        request = json.loads(json.dumps(rng.choice(REQUESTS[:-1])))
        target = request["params"]
        while rng.random() < 0.5:
            inner = [value for value in target.values() if isinstance(value, dict)]
            if not inner:
                break
            target = rng.choice(inner)
        if rng.random() < 0.5 and target:
            target[rng.choice(list(target))] = rng.choice(VALUES)
        else:
            target[rng.choice(["comand", "x", "", "a.b", "é", "timeout ", "constructor"])] = rng.choice(VALUES)
        lines.append(json.dumps(request).encode() + b"\n")
    answers, went_on = exchange(client, lines)
    assert went_on
    errors = errors_in(answers)
    assert len(errors) > 1500
    for error in errors:
        assert error["data"]["kind"] not in ("internal_error", "parse_error"), error
        if error["data"]["kind"] == "invalid_params":
            assert "field" in error["data"], error


def test_bad_utf8(daemon):
    for bytes_ in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3\n"):
        for text in (b'{"jsonrpc":"2.0","id":1,"method":"' + bytes_ + b'"}\n', bytes_ + b"\n", b"\n" + bytes_ * 1000 + b"\n"):
            with daemon.connect() as client:
                client.send(text)
                answers = client.read_all()
                assert answers[-1]["error"]["data"]["kind"] == "parse_error", answers
    is_alive(daemon)


def test_random_bytes(daemon, seed):
    rng = random.Random(seed)
    for _ in range(200):
        with daemon.connect() as client:
            try:
                client.send(rng.randbytes(rng.randint(1, 3000)) + b"\n")
                client.half_close()
                client.read_all()
            except (BrokenPipeError, ConnectionResetError):
                pass
    is_alive(daemon)


@pytest.mark.parametrize("text", ["[", '{"a":', '{"jsonrpc":"2.0","id":1,"method":"job.submit","params":{"job":{"task":"echo","args":[['])
def test_depth_of_a_hundred_thousand(client, text):
    answers, went_on = exchange(client, [(text * 100_000).encode() + b"\n", b"[" * 100_000 + b"]" * 100_000 + b"\n"])
    assert went_on
    assert [error["data"]["kind"] for error in errors_in(answers)] == ["limit_exceeded", "limit_exceeded"]


def test_a_line_at_the_bound_and_one_past(daemon):
    bound = 16 << 20
    for extra, accepted in ((0, True), (1, False)):
        with daemon.connect(120) as client:
            head, tail = b'{"jsonrpc":"2.0","id":7,"method":"task.list","params":{}', b"}"
            client.send(head + b" " * (bound - len(head) - len(tail) + extra) + tail + b"\n")
            answers = []
            if accepted:
                assert client.read_line(60)["id"] == 7
            else:
                answers = client.read_all(60)
                assert answers[-1]["error"]["data"]["kind"] == "limit_exceeded", answers
                assert answers[-1]["error"]["data"]["value"] == bound
    is_alive(daemon)


def test_a_line_without_an_end(daemon):
    with daemon.connect(60) as client:
        sent = 0
        try:
            while sent < 40 << 20:
                client.send(b"x" * 65536)
                sent += 65536
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 24 << 20, "it does not take what it can never understand"
    is_alive(daemon)


def test_large_answers_are_bounded(client):
    number = client.run(task="echo", args="x" * 3_000_000)["id"]
    assert client.call("job.get", id=number)["outcome"] == "succeeded"
    assert "result" not in client.call("job.get", id=number)


def test_half_open_clients(daemon):
    held = []
    for k in range(300):
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(daemon.socket))
        one.sendall(b'{"jsonrpc":"2.0","id":1,"meth'[: k % 30])
        if k % 3 == 0:
            one.shutdown(socket.SHUT_WR)
        held.append(one)
    is_alive(daemon)
    for one in held[::3]:
        one.settimeout(seconds(10))
        while one.recv(4096):
            pass
    for one in held:
        one.close()
    is_alive(daemon)


def test_peers_that_vanish_in_the_middle(daemon):
    for k in range(200):
        with daemon.connect() as client:
            client.send(
                b'{"jsonrpc":"2.0","id":1,"method":"job.run","params":{"job":{"task":"sleep","args":{"seconds":0.01}}}}\n'
                b'{"jsonrpc":"2.0","id":2,"method":"feed.subscribe"}\n{"jsonrpc":"2.0","id":3,"method":"job.results"}\n' * (1 + k % 5))
            if k % 2:
                client.read_line()
    is_alive(daemon)


def test_a_peer_that_asks_and_never_reads(daemon):
    """Reading from it stops; nothing grows without bound."""
    with daemon.connect() as greedy:
        greedy.socket.setblocking(False)
        request = b'{"jsonrpc":"2.0","id":1,"method":"task.list"}\n' * 1000
        sent, quiet = 0, 0
        deadline = time.monotonic() + seconds(20)
        while quiet < 10 and time.monotonic() < deadline:
            if select.select([], [greedy.socket], [], 0.05)[1]:
                try:
                    sent += greedy.socket.send(request)
                    quiet = 0
                    continue
                except BlockingIOError:
                    pass
            quiet += 1
        assert quiet == 10, f"it still reads after {sent} bytes"
        with open(f"/proc/{daemon.pid}/status") as file:
            resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        assert SANITIZED or resident < 300_000
        is_alive(daemon)


def test_too_many_open_streams(client):
    bound = client.call("daemon.info")["bounds"]["waiting_requests_max"]
    numbers = [client.post("feed.subscribe", group="nobody") for _ in range(bound)]
    for number in numbers:
        client.answer(number)
    assert client.error("feed.subscribe").kind == "limit_exceeded"
