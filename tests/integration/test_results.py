"""job.results: completion and submission order, ids, group, neither, since, timeout, cancel; and the feed."""

import itertools
import time

import pytest
from harness import seconds

SLEEPS = [5, 1, 3, 2, 4, 5, 1, 2, 3, 4]
KINDS = {
    "thread": lambda s: {"task": "sleep", "args": {"seconds": s}, "executor": "thread"},
    "coroutine": lambda s: {"task": "sleep", "args": {"seconds": s}, "executor": "coroutine"},
    "program": lambda s: {"command": ["sleep", str(s)]},
    "shell": lambda s: {"shell": f"sleep {s}"},
}


@pytest.fixture(scope="module")
def settings():
    return {"in_memory": True, "process__slots": 6, "process__hosts": 2, "thread__threads": 6, "coroutine__slots": 6}


def expected_ends(slots):
    """When each sleep ends where the first free slot takes the next."""
    free, ends = [0] * slots, []
    for sleep in SLEEPS:
        free.sort()
        free[0] += sleep
        ends.append(free[0])
    return ends


@pytest.mark.parametrize("kind", KINDS)
def test_completion_order_on_six_slots(client, kind):
    unit = 0.1 if seconds(1) == 1 else 0.3
    ends = expected_ends(6)
    before = time.monotonic()
    many = client.call("job.submit_many", jobs=[KINDS[kind](sleep * unit) for sleep in SLEEPS])
    stream = client.call("job.results", group=many["group"])["stream"]
    order, arrived, finished = [], [], []
    while (record := client.item(stream)) is not None:
        assert record["outcome"] == "succeeded", record
        order.append(record["id"] - many["first"])
        arrived.append(time.monotonic() - before)
        finished.append(record["finished_at"])
    assert client.ends[stream]["reason"] == "complete"
    assert sorted(order) == list(range(10))
    # Two that end at the same moment may be on two runners, each of which tells of its own.
    crossed = [earlier - later for earlier, later in zip(finished, finished[1:]) if earlier > later]
    assert max(crossed, default=0) < 0.01, f"sorted by the moment at which they ended: {order}, {finished}"
    late = [at - ends[k] * unit for k, at in zip(order, arrived)]
    assert -0.02 <= min(late) and max(late) < seconds(0.2), f"each arrives when its job ends: {order}, {arrived}"
    # Only a machine that stood still for longer than what lies between two ends can change their order.
    slack = max(0, int(max(late) / unit))
    for earlier, later in itertools.combinations(order, 2):
        assert ends[earlier] <= ends[later] + slack, f"{earlier} before {later}: {order}, late by {late}"


@pytest.mark.parametrize("kind", KINDS)
def test_submission_order_on_six_slots(client, kind):
    many = client.call("job.submit_many", jobs=[KINDS[kind](sleep * 0.03) for sleep in SLEEPS])
    records = client.results(group=many["group"], order="submission")
    assert [record["id"] - many["first"] for record in records] == list(range(10))


def test_seq_is_the_completion_order(client):
    many = client.call("job.submit_many", jobs=[{"task": "echo", "args": k} for k in range(200)])
    seqs = [record["seq"] for record in client.results(group=many["group"])]
    assert seqs == sorted(set(seqs))


def test_since_resumes(client):
    many = client.call("job.submit_many", jobs=[{"task": "echo", "args": k} for k in range(50)])
    records = client.results(group=many["group"])
    middle = records[20]["seq"]
    assert client.results(group=many["group"], since=middle) == records[21:]
    assert client.results(group=many["group"], since=records[-1]["seq"]) == []
    ids = [record["id"] for record in records]
    assert client.results(ids=ids, since=middle) == records[21:]


def test_by_ids(client):
    ids = [client.submit(task="sleep", args={"seconds": s}, executor="coroutine") for s in (0.3, 0.1, 0.2)]
    assert [record["id"] for record in client.results(ids=ids)] == [ids[1], ids[2], ids[0]]
    assert [record["id"] for record in client.results(ids=ids, order="submission")] == ids
    assert len(client.results(ids=ids)) == 3, "finished ones come again"


def test_the_results_of_the_caller_do_not_end(client):
    stream = client.call("job.results", since=client.run(task="echo")["seq"])["stream"]
    first = client.submit(task="echo", args=1)
    assert client.item(stream)["id"] == first
    second = client.submit(command=["true"])
    assert client.item(stream)["id"] == second
    client.call("stream.cancel", stream=stream)
    assert client.end(stream) == "cancelled"


def test_members_may_join_while_it_is_open(client):
    blocker = client.submit(task="sleep", args={"seconds": 0.4}, executor="coroutine", group="growing")
    stream = client.call("job.results", group="growing")["stream"]
    joined = client.submit(task="echo", group="growing")
    assert [record["id"] for record in client.rest(stream)] == [joined, blocker]
    assert client.ends[stream]["reason"] == "complete"


def test_timeout_of_the_stream(client):
    job = client.submit(task="sleep", args={"seconds": 30}, executor="coroutine", group="slow")
    stream = client.call("job.results", group="slow", timeout=0.2)["stream"]
    assert client.rest(stream) == [] and client.ends[stream]["reason"] == "timed_out"
    client.call("job.cancel", ids=[job])


def test_output_is_added_where_it_is_small(client):
    client.submit(command=["sh", "-c", "printf hello; printf oops >&2"], group="texts")
    client.submit(command=["head", "-c", "200000", "/dev/zero"], group="texts")
    client.submit(command=["printf", r"\377\001"], group="texts")
    records = client.results(group="texts", order="submission", output=True)
    assert records[0]["stdout"]["data"] == "hello" and records[0]["stderr"]["data"] == "oops"
    assert "data" not in records[1]["stdout"] and records[1]["stdout"]["bytes"] == 200000
    assert (records[2]["stdout"]["data"], records[2]["stdout"]["encoding"]) == ("/wE=", "base64")
    assert all("data" not in record["stdout"] for record in client.results(group="texts"))


def test_several_readers_see_the_same(daemon, client):
    others = [daemon.connect() for _ in range(5)]
    many = client.call("job.submit_many", jobs=[{"task": "sleep", "args": {"seconds": 0.02}} for k in range(60)])
    seen = [[record["id"] for record in other.results(group=many["group"])] for other in others]
    assert all(one == seen[0] for one in seen) and len(seen[0]) == 60


def test_a_slow_reader_loses_nothing_and_costs_nobody_anything(daemon, client):
    slow = daemon.connect()
    many = client.call("job.submit_many", jobs=[{"task": "echo", "args": "x" * 3000, "durable": False} for _ in range(3000)])
    number = slow.post("job.results", group=many["group"])
    assert len(client.results(group=many["group"])) == 3000
    before = time.monotonic()
    client.run(task="echo")
    assert time.monotonic() - before < seconds(1)
    stream = slow.answer(number)["stream"]
    assert len(slow.rest(stream)) == 3000


def test_feed(client, daemon):
    with daemon.connect() as other:
        stream = other.call("feed.subscribe")["stream"]
        job = client.run(task="sleep", args={"seconds": 0.05}, group="watched")
        kinds = []
        while not kinds or kinds[-1] != "job.finished":
            event = other.item(stream)
            if event["id"] == job["id"]:
                kinds.append(event["kind"])
        assert kinds[0] == "job.submitted" and "job.started" in kinds
        other.call("stream.cancel", stream=stream)
        assert other.end(stream) == "cancelled"


def test_feed_filters(client, daemon):
    with daemon.connect() as other:
        stream = other.call("feed.subscribe", kinds=["job.finished"], group="only these")["stream"]
        client.run(task="echo")
        client.run(task="echo", group="only these")
        client.run(task="fail", group="only these")
        events = [other.item(stream), other.item(stream)]
        assert {event["kind"] for event in events} == {"job.finished"}
        assert not other.items.get(stream)


def test_stream_cancel_ends_only_that_stream(client):
    one = client.call("feed.subscribe", group="a")["stream"]
    two = client.call("feed.subscribe", group="b")["stream"]
    assert one != two
    client.call("stream.cancel", stream=one)
    assert client.end(one) == "cancelled"
    client.run(task="echo", group="b")
    assert client.item(two)
    assert client.error("stream.cancel", stream=one).kind == "not_found"


def test_some_fields_of_the_records(client):
    answer = client.call("job.submit_many", group="fields", jobs=[{"task": "echo", "args": {"a": [1]}}, {"command": ["echo", "x"], "name": "n"}])
    records = {record["id"]: record for record in client.results(group="fields", fields=["result", "name", "exit_code"])}
    echo, program = records[answer["first"]], records[answer["first"] + 1]
    assert set(echo) == {"id", "seq", "result"} and echo["result"] == {"a": [1]}
    assert set(program) == {"id", "seq", "name", "exit_code"}
    with_output = client.results(group="fields", fields=["stdout"], output=True, order="submission")
    assert [record.get("stdout", {}).get("data") for record in with_output] == [None, "x\n"]
    assert all(set(record) == {"id", "seq"} for record in client.results(group="fields", fields=[]))
    # Every field that a record has can be asked for.
    whole = [*client.results(group="fields"), client.run(shell="exit 3", cwd="/", tags=["t"], timeout=5)]
    names = sorted({name for record in whole for name in record})
    chosen = client.results(group="fields", fields=names)
    assert chosen == client.results(group="fields")
    error = client.error("job.results", group="fields", fields=["id", "outcom"])
    assert (error.kind, error.field, error.data["nearest"]) == ("invalid_params", "fields[1]", "outcome")
    many = ["id"] * 64
    assert len(client.results(group="fields", fields=many)) == 2
    assert client.error("job.results", group="fields", fields=[*many, "id"]).field == "fields"
