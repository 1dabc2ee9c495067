"""Bytes, lines, batches, notifications, the order of effect and the ways to end a connection."""

import json
import subprocess
import time

import pytest
from harness import seconds


def line(number, method="daemon.info", **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"


def test_one_byte_at_a_time(client):
    for byte in line(1).encode():
        client.send(bytes([byte]))
    assert client.read_line()["id"] == 1


def test_two_requests_in_one_packet(client):
    client.send(line(1) + line(2))
    assert {client.read_line()["id"], client.read_line()["id"]} == {1, 2}


def test_a_request_in_two_packets(client):
    text = line(1)
    client.send(text[:20])
    assert client.silent(0.05)
    client.send(text[20:] + line(2)[:10])
    assert client.read_line()["id"] == 1


def test_crlf_and_empty_lines(client):
    client.send("\n\r\n" + line(1).replace("\n", "\r\n") + "\n\n" + line(2))
    assert {client.read_line()["id"], client.read_line()["id"]} == {1, 2}
    assert client.silent(0.05), "an empty line is not answered"


def test_a_last_line_without_its_end(client):
    client.send(line(1) + line(2).rstrip("\n"))
    client.half_close()
    assert sorted(answer["id"] for answer in client.read_all()) == [1, 2]


def test_ids(client):
    for number in (0, -5, "x", "", "7", 9007199254740991, "é" * 100):
        client.send(line(number))
        assert client.read_line()["id"] == number
    for bad in ("1.5", "[]", "{}", "true", "1e3", json.dumps("x" * 257)):
        client.send('{"jsonrpc":"2.0","id":%s,"method":"daemon.info"}\n' % bad)
        answer = client.read_line()
        assert answer["id"] is None and answer["error"]["data"]["kind"] in ("invalid_request", "invalid_params"), (bad, answer)
    client.send(line("x" * 256))
    assert client.read_line()["id"] == "x" * 256


@pytest.mark.parametrize(
    "text",
    [
        "7", '"x"', "null", "true", "{}", '{"jsonrpc":"2.0","id":1}', '{"jsonrpc":"1.0","id":1,"method":"daemon.info"}',
        '{"id":1,"method":"daemon.info"}', '{"jsonrpc":"2.0","id":1,"method":7}',
        '{"jsonrpc":"2.0","id":1,"method":"daemon.info","extra":1}', "[]",
    ],
)
def test_not_a_request(client, text):
    client.send(text + "\n")
    answer = client.read_line()
    assert answer["error"]["code"] == -32600, answer
    assert answer["error"]["data"]["kind"] == "invalid_request"
    client.send(line(9))
    assert client.read_line()["id"] == 9, "the connection goes on"


def test_params_must_be_an_object(client):
    client.send('{"jsonrpc":"2.0","id":1,"method":"daemon.info","params":[]}\n')
    assert client.read_line()["error"]["data"]["kind"] in ("invalid_params", "invalid_request")
    client.send('{"jsonrpc":"2.0","id":2,"method":"daemon.info"}\n')
    assert "result" in client.read_line(), "params may be left out"


def test_not_json(client):
    client.send('{"jsonrpc":"2.0","id":1,]\n' + line(2))
    answer = client.read_line()
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)
    assert answer["error"]["data"]["kind"] == "parse_error"
    assert answer["error"]["data"]["offset"] == 24
    assert client.read_line()["id"] == 2


def test_not_utf8_ends_the_connection(client, daemon):
    client.send(line(1) + "x")
    client.send(b'\xff\xfe"}\n' + line(2).encode())
    answers = client.read_all()
    assert answers[0]["id"] == 1
    assert answers[1]["id"] is None and answers[1]["error"]["data"]["kind"] == "parse_error"
    assert len(answers) == 2
    with daemon.connect() as other:
        other.call("daemon.info")


def test_a_batch_is_answered_in_order(client):
    client.send(json.dumps([
        {"jsonrpc": "2.0", "id": 1, "method": "daemon.info"},
        {"jsonrpc": "2.0", "method": "daemon.info"},
        {"jsonrpc": "2.0", "id": "b", "method": "no.such"},
        7,
        {"jsonrpc": "2.0", "id": 3, "method": "job.submit", "params": {"job": {"task": "echo", "durable": False}}},
        {"jsonrpc": "2.0", "id": 4, "method": "task.list"},
    ]) + "\n")
    answers = client.read_line()
    assert [answer["id"] for answer in answers] == [1, "b", None, 3, 4]
    assert answers[1]["error"]["data"]["kind"] == "method_not_found"
    assert answers[2]["error"]["data"]["kind"] == "invalid_request"
    assert answers[3]["result"]["id"] > 0


def test_a_batch_of_notifications_is_not_answered(client):
    client.send(json.dumps([{"jsonrpc": "2.0", "method": "daemon.info"}] * 3) + "\n" + line(1))
    assert client.read_line()["id"] == 1


def test_a_batch_holds_no_waiting_and_no_streaming_call(client):
    methods = {"job.wait": {"ids": [1]}, "job.run": {"job": {"task": "echo"}}, "job.results": {}, "feed.subscribe": {}}
    client.send(json.dumps([
        {"jsonrpc": "2.0", "id": name, "method": name, "params": params} for name, params in methods.items()
    ]) + "\n")
    answers = client.read_line()
    assert [answer["id"] for answer in answers] == list(methods)
    assert all(answer["error"]["data"]["kind"] == "invalid_request" for answer in answers), answers


def test_a_batch_at_its_bound_and_one_past(client):
    bound = client.call("daemon.info")["bounds"]["batch_requests_max"]
    request = {"jsonrpc": "2.0", "id": 1, "method": "task.list"}
    client.send(json.dumps([request] * bound) + "\n")
    assert len(client.read_line()) == bound
    client.send(json.dumps([request] * (bound + 1)) + "\n")
    assert client.read_line()["error"]["data"]["kind"] == "limit_exceeded"


def test_notifications_are_never_answered(client):
    client.send('{"jsonrpc":"2.0","method":"no.such"}\n{"jsonrpc":"2.0","method":"job.get","params":{"id":"x"}}\n')
    client.send('{"jsonrpc":"2.0","method":"job.submit","params":{"job":{"task":"echo","group":"notified"}}}\n' + line(1))
    assert client.read_line()["id"] == 1
    assert [record["group"] for record in client.results(group="notified")] == ["notified"], "but it has its effect"


def test_requests_take_effect_in_the_order_sent(client):
    for number in range(20):
        group = f"order-{number}"
        client.send(
            line(1, "job.submit_many", jobs=[{"task": "echo", "args": k, "durable": number % 2 == 0} for k in range(5)], group=group)
            + line(2, "job.results", group=group)
        )
        stream = client.answer(2)["stream"]
        client.answer(1)
        assert sorted(record["result"] for record in client.rest(stream)) == list(range(5))
        assert client.end(stream) == "complete"


def test_a_large_line_is_decoded_elsewhere_and_keeps_its_place(client):
    big = {"task": "echo", "args": "x" * 1_000_000, "group": "large"}
    client.send(line(1, "job.submit", job=big) + line(2, "job.results", group="large") + line(3))
    stream = client.answer(2)["stream"]
    assert client.answer(1)["id"]
    client.answer(3)
    (record,) = client.rest(stream)
    assert record["outcome"] == "succeeded"


def test_many_pipelined_calls(client):
    count = 5_000
    numbers = [client.post("daemon.info") for _ in range(10)]
    client.send("".join(line(f"p{k}", "job.get", id=9007199254740000) for k in range(count)))
    for number in numbers:
        client.answer(number)
    kinds = set()
    for k in range(count):
        while f"p{k}" not in client.answers:
            client._take(30)
        kinds.add(client.answers.pop(f"p{k}")["error"]["data"]["kind"])
    assert kinds == {"not_found"}


def test_half_close_lets_everything_finish(client):
    client.send(
        line(1, "job.submit", job={"command": ["sh", "-c", "sleep 0.3; echo done"], "group": "half"})
        + line(2, "job.results", group="half", output=True)
        + line(3, "job.run", job={"task": "sleep", "args": {"seconds": 0.2}})
    )
    client.half_close()
    lines = client.read_all()
    by_id = {message["id"]: message for message in lines if "id" in message}
    assert set(by_id) == {1, 2, 3}
    assert by_id[3]["result"]["outcome"] == "succeeded"
    methods = [message["method"] for message in lines if "method" in message]
    assert methods == ["stream.item", "stream.end"]


def test_netcat(daemon):
    text = line(1, "job.submit_many", template={"command": ["echo", "{}"]}, items=["a", "b"], group="nc") + line(
        2, "job.results", group="nc", order="submission", output=True)
    done = subprocess.run(["nc", "-N", "-U", str(daemon.socket)], input=text.encode(), capture_output=True, timeout=seconds(20))
    messages = [json.loads(text) for text in done.stdout.splitlines()]
    outputs = [message["params"]["item"]["stdout"]["data"] for message in messages if message.get("method") == "stream.item"]
    assert outputs == ["a\n", "b\n"]
    assert messages[-1]["params"]["reason"] == "complete"


def test_a_full_close_ends_the_waits_of_the_peer(daemon, client):
    job = client.submit(task="sleep", args={"seconds": 30}, executor="coroutine")
    other = daemon.connect()
    other.post("job.wait", ids=[job])
    other.post("feed.subscribe")
    before = time.monotonic()
    other.close()
    client.call("job.cancel", ids=[job])
    assert client.wait(job)[0]["outcome"] == "cancelled"
    assert time.monotonic() - before < seconds(5)
