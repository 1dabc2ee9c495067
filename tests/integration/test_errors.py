"""Every kind of error that a client can cause: its code, its kind, and the data that helps to put it right."""

import json

import pytest

CODES = {
    "parse_error": -32700, "invalid_request": -32600, "method_not_found": -32601, "invalid_params": -32602, "not_found": -32000,
    "conflict": -32002, "limit_exceeded": -32003, "unavailable": -32006, "purged": -32007,
}


def check(error, kind, field=None, nearest=None):
    assert (error.kind, error.code) == (kind, CODES[kind]), error
    assert isinstance(error.data["retryable"], bool)
    assert error.error["message"]
    if field is not None:
        assert error.field == field, error
    if nearest is not None:
        assert error.data["nearest"] == nearest, error


def test_unknown_method(client):
    check(client.error("job.sumbit"), "method_not_found", nearest="job.submit")
    assert "nearest" not in client.error("quite.something.else").data


def test_methods_of_later_versions_are_not_pretended(client):
    for method in ("queue.set", "schedule.set", "job.rerun", "job.update", "daemon.reload"):
        assert client.error(method).kind in ("method_not_found", "unavailable"), method


@pytest.mark.parametrize(
    "method, params, field, nearest",
    [
        ("job.submit", {}, "job", None),
        ("job.submit", {"jbo": {}}, "jbo", "job"),
        ("job.submit", {"job": 7}, "job", None),
        ("job.submit", {"job": {}}, "job", None),
        ("job.submit", {"job": {"command": ["a"], "shell": "b"}}, "job", None),
        ("job.submit", {"job": {"comand": ["a"]}}, "job.comand", "command"),
        ("job.submit", {"job": {"command": []}}, "job.command", None),
        ("job.submit", {"job": {"command": "true"}}, "job.command", None),
        ("job.submit", {"job": {"command": ["a", 7]}}, "job.command[1]", None),
        ("job.submit", {"job": {"command": ["a"], "timeout": -1}}, "job.timeout", None),
        ("job.submit", {"job": {"command": ["a"], "timeout": "1"}}, "job.timeout", None),
        ("job.submit", {"job": {"command": ["a"], "priority": 1.0}}, "job.priority", None),
        ("job.submit", {"job": {"command": ["a"], "priority": 1001}}, "job.priority", None),
        ("job.submit", {"job": {"command": ["a"], "executor": "thraed"}}, "job.executor", "thread"),
        ("job.submit", {"job": {"command": ["a"], "executor": "thread"}}, "job.executor", None),
        ("job.submit", {"job": {"command": ["a"], "stdin": {"base64": "?"}}}, "job.stdin.base64", None),
        ("job.submit", {"job": {"command": ["a"], "env": {"A": 1}}}, "job.env.A", None),
        ("job.submit", {"job": {"command": ["a"], "daemon": 1}}, "job.daemon", None),
        ("job.submit", {"job": {"task": "sleep", "executor": "cluster2"}}, "job.executor", "cluster"),
        ("job.submit_many", {"template": {"shell": "echo {}"}, "items": [1]}, "template.shell", None),
        ("job.submit_many", {"template": {"command": ["a", "{}"]}, "items": [1, True]}, "items[1]", None),
        ("job.submit_many", {"jobs": []}, "jobs", None),
        ("job.get", {"id": 0}, "id", None),
        ("job.get", {"id": "1"}, "id", None),
        ("job.get", {"id": 1.5}, "id", None),
        ("job.get", {"id": 9007199254740992}, "id", None),
        ("job.list", {"limit": 0}, "limit", None),
        ("job.list", {"limit": 1001}, "limit", None),
        ("job.list", {"state": "runing"}, "state", "running"),
        ("job.wait", {"ids": [1], "until": "frist"}, "until", "first"),
        ("job.wait", {"ids": []}, "ids", None),
        ("job.output", {"id": 1, "of": "stdot"}, "of", "stdout"),
        ("job.output", {"id": 1, "limit": 1048577}, "limit", None),
        ("job.signal", {"id": 1, "signal": "TREM"}, "signal", None),
        ("job.signal", {"id": 1, "signal": 65}, "signal", None),
        ("daemon.shutdown", {"jobs": "cancle"}, "jobs", "cancel"),
        ("feed.subscribe", {"kinds": ["job.finishd"]}, "kinds[0]", "job.finished"),
        ("daemon.info", {"x": 1}, "x", None),
    ],
)
def test_invalid_params(client, method, params, field, nearest):
    check(client.error(method, **params), "invalid_params", field, nearest)


@pytest.mark.parametrize("field", ["after", "limits", "nice", "ref"])
def test_fields_of_later_versions_are_refused(client, field):
    check(client.error("job.submit", job={"command": ["true"], field: 1}), "unavailable", f"job.{field}")


def test_what_is_not_served_yet(client):
    check(client.error("job.submit", job={"pool": "p"}), "not_found", "job.pool")
    check(client.error("job.submit", job={"command": ["true"], "queue": "other"}), "unavailable", "job.queue")
    check(client.error("job.submit", job={"command": ["true"], "executor": "cluster"}), "unavailable", "job.executor")


def test_unknown_tasks(client):
    check(client.error("job.submit", job={"task": "slep"}), "unavailable", "job.task", "sleep")
    check(client.error("job.submit_many", jobs=[{"task": "echo"}, {"task": "eco"}]), "unavailable", "jobs[1].task", "echo")


def test_a_key_that_stands_twice(client):
    client.send('{"jsonrpc":"2.0","id":1,"method":"job.submit","params":{"job":{"task":"echo","name":"a","name":"b"}}}\n')
    error = client.read_line()["error"]
    assert error["data"]["kind"] == "invalid_params" and error["data"]["field"] == "job.name", error


@pytest.mark.parametrize("method", ["job.wait", "job.results", "job.cancel", "job.forget"])
def test_ids_begin_at_one(client, method):
    check(client.error(method, ids=[1, 0]), "invalid_params", "ids[1]")


def test_numbers_out_of_range(client):
    for number in ("1e999", "18446744073709551616"):
        client.send('{"jsonrpc":"2.0","id":1,"method":"job.get","params":{"id":%s}}\n' % number)
        error = client.read_line()["error"]
        assert error["data"]["kind"] in ("parse_error", "invalid_params"), error


def test_not_found(client):
    unknown = 9007199254740991
    for method in ("job.get", "job.spec", "job.why", "job.output"):
        check(client.error(method, id=unknown), "not_found")
    check(client.error("job.wait", ids=[unknown]), "not_found")
    check(client.error("job.results", ids=[unknown]), "not_found")
    check(client.error("job.results", group="never had a member"), "not_found")
    check(client.error("job.wait", group="never had a member"), "not_found")
    check(client.error("job.cancel", ids=[unknown]), "not_found")
    check(client.error("job.signal", id=unknown, signal=15), "not_found")
    check(client.error("job.input", id=unknown, data=""), "not_found")
    check(client.error("stream.cancel", stream=unknown), "not_found")


def test_conflict(client):
    job = client.submit(command=["true"])
    client.wait(job)
    check(client.error("job.signal", id=job, signal="TERM"), "conflict")
    check(client.error("job.input", id=job, data="x"), "conflict")
    running = client.submit(command=["sleep", "30"])
    client.until_state(running, "running", "running")
    check(client.error("job.input", id=running, data="x"), "conflict")
    check(client.error("job.forget", ids=[running]), "conflict")
    client.call("job.cancel", ids=[running], force=True)
    discarded = client.run(command=["echo", "x"], stdout="null")["id"]
    check(client.error("job.output", id=discarded, of="stdout"), "conflict")


def test_forgotten_is_purged_or_gone(client):
    job = client.run(task="echo")["id"]
    assert client.call("job.forget", ids=[job])["forgotten"] == 1
    assert client.error("job.get", id=job).kind in ("purged", "not_found")


def test_depth_at_the_bound_and_one_past(client):
    bound = client.call("daemon.info")["bounds"]["depth_levels_max"]
    outside = 3  # the request, params and job
    for extra, kind in ((0, None), (1, "limit_exceeded")):
        levels = bound - outside + extra
        args = "[" * levels + "1" + "]" * levels
        client.send('{"jsonrpc":"2.0","id":1,"method":"job.submit","params":{"job":{"task":"echo","args":%s}}}\n' % args)
        answer = client.read_line()
        assert answer.get("error", {"data": {"kind": None}})["data"]["kind"] == kind, answer


def test_waiting_calls_past_their_bound(client):
    job = client.submit(task="sleep", args={"seconds": 60}, executor="coroutine")
    bound = client.call("daemon.info")["bounds"]["waiting_requests_max"]
    client.send("".join(
        json.dumps({"jsonrpc": "2.0", "id": f"w{k}", "method": "job.wait", "params": {"ids": [job]}}) + "\n" for k in range(bound + 1)))
    answer = client.read_line()
    assert answer["id"] == f"w{bound}" and answer["error"]["data"]["kind"] == "limit_exceeded"
    assert answer["error"]["data"]["value"] == bound
    client.call("job.cancel", ids=[job])
    for k in range(bound):
        assert client.answer(f"w{k}")["finished"]


def test_a_long_id_list_at_the_bound_and_one_past(client):
    job = client.run(task="echo")["id"]
    check(client.error("job.wait", ids=[job] * 10_001), "invalid_params", "ids")
    assert client.call("job.wait", ids=[job] * 10_000)["pending"] == []


def test_everything_in_one_submit_many_or_nothing(client):
    check(client.error("job.submit_many", jobs=[{"task": "echo"}] * 10 + [{"task": "nope"}], group="none of it"), "unavailable", "jobs[10].task")
    check(client.error("job.wait", group="none of it"), "not_found")
