"""Pools: messages to long-lived workers, and workers that die, hang or answer rubbish: only their own message suffers."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from harness import Daemon, alive, children, process_name, until

WORKER = [sys.executable, "-S", str(Path(__file__).with_name("pool_worker.py"))]


@pytest.fixture
def pool(client):
    """Makes a pool that is gone with the test."""
    made = set()

    def make(name="p", size=1, **more):
        client.call("pool.set", name=name, command=WORKER, size=size, **more)
        made.add(name)
        return name

    yield make
    for name in made:
        client.call("pool.remove", name=name, force=True)
        until(lambda name=name: all(row["name"] != name for row in client.call("pool.list")["pools"]), 20, "the end of the pool")


def ask(client, name, args=None, **job):
    record = client.run(pool=name, args=args, **job)
    assert record["outcome"] == "succeeded", record
    return record.get("result")


def test_a_worker_is_kept(client, pool):
    pool()
    first = ask(client, "p", {"do": "pid"})
    assert ask(client, "p", {"do": "pid"}) == first
    record = client.run(pool="p", args={"do": "count"})
    assert record["result"] == 2
    assert record["pool"] == "p" and record["args"] == {"do": "count"} and record["executor"] == "process"
    assert record["worker"].startswith("runner-")
    assert record["stderr"] == {"bytes": 0, "truncated": False, "data": "", "encoding": "utf8"} and "stdout" not in record


def test_what_a_worker_reads(client, pool):
    pool()
    job = client.submit(pool="p", args={"do": "message", "text": "ä\n\"\u2028"}, timeout=50)
    (record,) = client.wait(job)
    message = record["result"]
    assert message["id"] == job and message["attempt"] == 1
    assert message["args"] == {"do": "message", "text": "ä\n\"\u2028"}
    assert abs(message["deadline"] - (record["started_at"] + 50)) < 1
    assert ask(client, "p", {"do": "message"})["deadline"] is None
    assert client.run(pool="p")["outcome"] == "succeeded"
    for args in (0, "", [], [1, [2]], {"a": None}, 1.5, True):
        assert ask(client, "p", args) == args


def test_what_a_worker_finds(daemon, client, pool):
    pool(env={"OWN": "1", "STINT_POOL": "mine"}, cwd="/tmp")
    environment = ask(client, "p", {"do": "environment", "name": "OWN"})
    assert environment["STINT_POOL"] == "p" and environment["OWN"] == "1"
    assert environment["STINT_SOCKET"] == str(daemon.socket)
    assert "STINT_JOB_ID" not in environment
    assert ask(client, "p", {"do": "cwd"}) == "/tmp"


def test_size_is_what_runs_at_once(client, pool):
    pool(size=3)
    jobs = [client.submit(pool="p", args={"do": "hang"}, grace=0) for _ in range(4)]
    running = [client.until_state(job, "running", "running")["pid"] for job in jobs[:3]]
    assert len(set(running)) == 3
    assert client.call("job.get", id=jobs[3])["state"] == "queued"
    assert client.call("job.why", id=jobs[3])["reasons"] == [{"kind": "slots", "pool": "p", "ahead": 0}]
    row = client.call("pool.list")["pools"][0]
    assert (row["queued"], row["running"], row["size"], row["command"]) == (1, 3, 3, WORKER)
    client.call("job.cancel", ids=jobs)
    assert {record["outcome"] for record in client.wait(*jobs)} == {"cancelled"}


def test_many_messages_in_order(client, pool):
    pool()
    answer = client.call("job.submit_many", template={"pool": "p"}, items=list(range(3000)))
    results = client.results(group=answer["group"])
    assert [record["result"] for record in results] == list(range(3000))
    assert {record["outcome"] for record in results} == {"succeeded"}


def test_stderr_is_the_jobs_own(client, pool):
    pool()
    jobs = [client.submit(pool="p", args={"do": "say", "text": f"line {i}\n"}) for i in range(20)]
    client.wait(*jobs)
    for i, job in enumerate(jobs):
        assert client.output(job, of="stderr") == f"line {i}\n".encode()
    big = client.submit(pool="p", args={"do": "say", "text": "y" * 300_000})
    assert client.wait(big)[0]["stderr"]["bytes"] == 300_000
    assert client.output(big, of="stderr") == b"y" * 300_000
    little = client.run(pool="p", args={"do": "say", "text": "0123456789"}, output_limit=4)
    assert little["stderr"]["truncated"]
    assert "stderr" not in client.run(pool="p", args={"do": "say", "text": "x"}, stderr="null")
    assert client.error("job.output", id=jobs[0]).kind == "conflict"
    running = client.submit(pool="p", args={"do": "hang"}, grace=0)
    client.until_state(running, "running", "running")
    stream = client.call("job.output", id=running, of="stderr", follow=True)["stream"]
    client.call("job.cancel", ids=[running])
    assert "".join(piece["data"] for piece in client.rest(stream)) == "hanging\n"


def test_progress(client, pool):
    pool()
    stream = client.call("feed.subscribe", kinds=["job.progress"])["stream"]
    job = client.submit(pool="p", args={"do": "progress", "values": [0, 0.25, 1]})
    seen = [client.item(stream) for _ in range(3)]
    assert [(one["id"], one["value"], one["text"]) for one in seen] == [(job, v, f"at {v}") for v in (0, 0.25, 1)]
    client.call("stream.cancel", stream=stream)


def test_an_error_is_the_jobs(client, pool):
    pool()
    before = ask(client, "p", {"do": "pid"})
    record = client.run(pool="p", args={"do": "fail", "message": "no"})
    assert record["outcome"] == "failed"
    assert record["error"] == {"kind": "ValueError", "message": "no", "data": {"args": ["no"]}}
    long = client.run(pool="p", args={"do": "fail", "message": "m" * 10_000})
    assert len(long["error"]["message"]) == 4096 and "data" not in long["error"]
    assert client.call("job.spec", id=long["id"])["error"]["data"] == {"args": ["m" * 10_000]}
    assert ask(client, "p", {"do": "pid"}) == before, "a worker that says what is wrong is kept"


@pytest.mark.parametrize("args, kind, words", [
    ({"do": "exit", "code": 3}, "crashed", "ended with exit code 3 before it answered"),
    ({"do": "exit", "code": 0}, "crashed", "ended with exit code 0 before it answered"),
    ({"do": "crash"}, "crashed", "was killed by SIGSEGV before it answered"),
    ({"do": "write", "text": "rubbish\n"}, "bad_answer", "'rubbish'"),
    ({"do": "write", "text": "[1]\n"}, "bad_answer", "no JSON object"),
    ({"do": "write", "text": '{"id": 1, "result": 1}\n'}, "bad_answer", "answered message 1 when it was asked"),
    ({"do": "write", "text": '{"result": 1}\n'}, "bad_answer", "without an 'id'"),
    ({"do": "write", "text": '{"id": ID}\n'}, "bad_answer", "without 'result', 'error' or 'progress'"),
    ({"do": "write", "text": '{"id": ID, "result": 1, "error": {"message": ""}}\n'}, "bad_answer", "both"),
    ({"do": "write", "text": '{"id": ID, "result": NaN}\n'}, "bad_answer", "not JSON"),
    ({"do": "write", "text": '{"id": ID, "error": "text"}\n'}, "bad_answer", "without a 'message'"),
    ({"do": "write", "text": '{"id": ID, "progress": 2}\n'}, "bad_answer", "from 0 to 1"),
    ({"do": "flood"}, "bad_answer", "a line of more than 16777216 bytes"),
    ({"do": "close"}, "bad_answer", "closed its standard output"),
])
def test_only_its_message_suffers(client, pool, args, kind, words):
    pool()
    before = ask(client, "p", {"do": "pid"})
    jobs = [client.submit(pool="p", args=one) for one in ({"do": "count"}, args, {"do": "pid"})]
    first, bad, last = client.wait(*jobs)
    assert (first["outcome"], bad["outcome"], last["outcome"]) == ("succeeded", "failed", "succeeded"), (bad, last)
    assert bad["error"]["kind"] == kind and words in bad["error"]["message"], bad["error"]
    assert last["result"] != before and not alive(before)


def test_a_line_that_nobody_asked_for_costs_the_worker_alone(client, pool):
    pool()
    for text in ('{"id": 1, "result": 2}\n', "not even a line"):
        before = ask(client, "p", {"do": "pid"})
        assert ask(client, "p", {"do": "extra", "text": text}) == "good"
        assert ask(client, "p", {"do": "pid"}) != before


def test_a_worker_that_dies_with_nothing_to_do_costs_nothing(client, pool):
    pool()
    before = ask(client, "p", {"do": "pid"})
    os.kill(before, signal.SIGKILL)
    until(lambda: not alive(before), 10, "its end")
    assert ask(client, "p", {"do": "pid"}) != before


def test_deadline_and_cancel_end_the_worker(client, pool):
    pool()
    before = ask(client, "p", {"do": "pid"})
    late = client.run(pool="p", args={"do": "hang"}, timeout=0.2)
    assert late["outcome"] == "timed_out" and late["error"]["kind"] == "timed_out"
    assert not alive(before)
    stubborn = client.submit(pool="p", args={"do": "ignore"}, grace=0.2)
    pid = client.until_state(stubborn, "running", "running")["pid"]
    until(lambda: sigterm_ignored(pid), 10, "the worker to ignore SIGTERM")
    queued = client.submit(pool="p", args={"do": "pid"})
    gone = client.submit(pool="p", args={"do": "pid"})
    assert client.call("job.cancel", ids=[stubborn, gone]) == {
        "cancelled": [gone], "stopping": [stubborn], "already_finished": []}
    stopped, answered, never = client.wait(stubborn, queued, gone)
    assert (stopped["outcome"], answered["outcome"], never["outcome"]) == ("cancelled", "succeeded", "cancelled")
    assert not alive(pid) and never["attempt"] == 0


def sigterm_ignored(pid):
    masks = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    return masks and int(masks[0].split()[1], 16) & (1 << (signal.SIGTERM - 1))


def test_its_strays_go_with_the_worker(daemon, client, pool):
    pool()
    ask(client, "p", {"do": "strays"})
    bystander = client.submit(command=["sleep", "300"])
    client.until_state(bystander, "running", "running")
    record = client.run(pool="p", args={"do": "strays", "then": "exit"})
    assert record["error"]["kind"] == "crashed"
    assert not [pid for pid in daemon.processes() if process_name(pid) == "sleep" and pid != client.call("job.get", id=bystander)["pid"]]
    client.call("job.cancel", ids=[bystander])
    client.wait(bystander)


def test_a_worker_that_cannot_be_started(client):
    client.call("pool.set", name="none", command=["/no/such/worker"], size=2)
    answer = client.call("job.submit_many", template={"pool": "none"}, items=list(range(50)))
    results = client.results(group=answer["group"])
    assert {record["error"]["kind"] for record in results} == {"spawn"} and len(results) == 50
    assert results[0]["exit_code"] == 127
    client.call("pool.remove", name="none")


def test_large_messages_and_answers(client, pool):
    pool()
    assert len(client.call("job.spec", id=client.run(pool="p", args="y" * 8_000_000)["id"])["result"]) == 8_000_000
    record = client.run(pool="p", args={"do": "big", "bytes": 16_000_000})
    assert record["outcome"] == "succeeded" and "result" not in record
    assert len(client.call("job.spec", id=record["id"])["result"]) == 16_000_000
    assert client.run(pool="p", args={"do": "big", "bytes": 1 << 24})["error"]["kind"] == "bad_answer"


def test_workers_are_replaced_after_max_jobs(client, pool):
    pool(max_jobs=2)
    pids = [ask(client, "p", {"do": "pid"}) for _ in range(6)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]


def test_idle_workers_end(client, pool):
    pool(idle_timeout=0.1)
    pid = ask(client, "p", {"do": "pid"})
    until(lambda: not alive(pid), 10, "the end of the idle worker")
    assert ask(client, "p", {"do": "pid"}) != pid


def test_set_again_replaces_the_workers(client, pool):
    pool()
    before = ask(client, "p", {"do": "pid"})
    pool()
    assert ask(client, "p", {"do": "pid"}) == before, "nothing was changed"
    pool(env={"NEW": "1"}, size=2)
    assert ask(client, "p", {"do": "environment", "name": "NEW"})["NEW"] == "1"
    until(lambda: not alive(before), 20, "the end of the old worker")
    assert client.call("pool.list")["pools"][0]["size"] == 2


def test_another_size_alone_keeps_the_workers(client, pool):
    pool()
    pid = ask(client, "p", {"do": "pid"})
    pool(size=3)
    jobs = [client.submit(pool="p", args={"do": "sleep", "seconds": 0.5}) for _ in range(3)]
    pids = {client.until_state(job, "running", "running")["pid"] for job in jobs}
    assert len(pids) == 3 and pid in pids
    pool(size=1)
    client.wait(*jobs)
    left = ask(client, "p", {"do": "pid"})
    assert left in pids
    until(lambda: [one for one in pids if alive(one)] == [left], 10, "the end of those that are too many")


def test_a_message_that_waits_for_others_lends_its_place(daemon, client, pool):
    pool()
    jobs = [client.submit(pool="p", args={"do": "nest", "depth": depth}) for depth in (6, 0, 3)]
    assert [record["result"] for record in client.wait(*jobs)] == [6, 0, 3]
    assert client.call("job.list", state="running")["jobs"] == []
    workers = lambda: [pid for runner in daemon.workers("runner") for pid in children(runner)]  # noqa: E731
    until(lambda: len(workers()) == 1, 10, "the end of those that are too many")
    hanging = [client.submit(pool="p", args={"do": "hang"}, grace=0) for _ in range(2)]
    client.until_state(hanging[0], "running", "running")
    assert client.call("pool.list")["pools"][0]["running"] == 1
    client.call("job.cancel", ids=hanging)
    client.wait(*hanging)


def test_permits_hold_messages_apart(client, pool):
    pool(size=3)
    locked = [client.submit(pool="p", args={"do": "sleep", "seconds": 0.05}, locks=["one at a time"]) for _ in range(4)]
    hanging = client.submit(pool="p", args={"do": "hang"}, locks=["taken"], grace=0)
    client.until_state(hanging, "running", "running")
    waiting = client.submit(pool="p", args=1, locks=["taken"])
    assert client.call("job.why", id=waiting)["reasons"][0]["kind"] == "lock"
    assert ask(client, "p", 2) == 2, "it holds up nobody else"
    os.kill(client.call("job.get", id=hanging)["pid"], signal.SIGKILL)
    assert [record["outcome"] for record in client.wait(hanging, waiting)] == ["failed", "succeeded"]
    spans = sorted((record["started_at"], record["finished_at"]) for record in client.wait(*locked))
    assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:])), spans


def test_errors(client, pool):
    error = client.error("job.submit", job={"pool": "nowhere"})
    assert (error.kind, error.field) == ("not_found", "job.pool")
    pool("resize")
    assert client.error("job.submit", job={"pool": "resise"}).data["nearest"] == "resize"
    assert client.error("job.submit_many", jobs=[{"pool": "resize"}, {"pool": "x"}]).field == "jobs[1].pool"
    assert client.error("job.submit", job={"pool": "resize", "cwd": "/"}).field == "job.cwd"
    assert client.error("pool.set", name="a", command=["x"]).field == "size"
    assert client.error("pool.set", name="a", command=["x"], size=1025).field == "size"
    assert client.error("pool.remove", name="resiz").data["nearest"] == "resize"
    job = client.submit(pool="resize", args={"do": "hang"}, grace=0)
    assert client.error("pool.remove", name="resize").kind == "conflict"
    assert client.error("job.signal", id=job, signal="TERM").kind == "conflict"
    client.call("job.cancel", ids=[job])
    client.wait(job)


def test_as_many_as_there_may_be(client, pool):
    bound = client.call("daemon.info")["bounds"]["pools_max"]
    names = [f"n{i}" for i in range(bound)]
    numbers = [client.post("pool.set", name=name, command=["x"], size=1) for name in names]
    for number in numbers:
        client.answer(number)
    error = client.error("pool.set", name="more", command=["x"], size=1)
    assert (error.kind, error.data["limit"], error.data["value"]) == ("limit_exceeded", "pools_max", bound)
    assert len(client.call("pool.list")["pools"]) == bound
    for number in [client.post("pool.remove", name=name) for name in names]:
        client.answer(number)


def test_removal_cancels(client, pool):
    pool()
    jobs = [client.submit(pool="p", args={"do": "hang"}, grace=0) for _ in range(3)]
    client.until_state(jobs[0], "running", "running")
    client.call("pool.remove", name="p", force=True)
    records = client.wait(*jobs)
    assert {record["outcome"] for record in records} == {"cancelled"}
    until(lambda: client.call("pool.list")["pools"] == [], 10, "the end of the pool")
    assert client.error("job.submit", job={"pool": "p"}).kind == "not_found"
    pool()
    assert ask(client, "p", 1) == 1, "the name is free again"


def test_who_waits_for_a_time_is_unfinished(client, pool):
    pool()
    job = client.submit(pool="p", delay=300)
    error = client.error("pool.remove", name="p")
    assert error.kind == "conflict" and "1 jobs" in str(error)
    client.call("job.cancel", ids=[job])
    client.call("pool.remove", name="p")
    assert client.call("pool.list")["pools"] == []
    pool()


def test_a_bound_pool_ends_with_its_connection(daemon, client):
    owner = daemon.connect()
    owner.call("pool.set", name="bound", command=WORKER, size=1, bind="connection")
    pid = ask(client, "bound", {"do": "pid"})
    assert client.error("pool.set", name="bound", command=WORKER, size=1, bind="connection").kind == "conflict"
    assert client.error("pool.remove", name="bound").kind == "conflict"
    assert owner.error("pool.set", name="bound", command=WORKER, size=1).kind == "conflict"
    owner.call("pool.set", name="bound", command=WORKER, size=2, bind="connection")
    jobs = [client.submit(pool="bound", args={"do": "hang"}, grace=0) for _ in range(5)]
    client.until_state(jobs[0], "running", "running")
    owner.close()
    assert {record["outcome"] for record in client.wait(*jobs)} == {"cancelled"}
    until(lambda: client.call("pool.list")["pools"] == [], 10, "the end of the pool")
    until(lambda: not alive(pid), 20, "the end of its worker")


def test_after_a_kill_of_the_daemon(start):
    daemon = start(daemon__on_stop="cancel")
    with daemon.connect() as client:
        client.call("pool.set", name="lasting", command=WORKER, size=1)
        client.call("pool.set", name="bound", command=WORKER, size=1, bind="connection")
        done = client.submit(pool="lasting", args={"do": "pid"})
        (record,) = client.wait(done)
        worker = record["result"]
        # Short ones make the daemon send starts ahead: those that wait at the runner have not begun.
        client.wait(*[client.submit(pool="lasting") for _ in range(200)])
        running = client.submit(pool="lasting", args={"do": "hang"})
        client.until_state(running, "running", "running")
        queued = [client.submit(pool="lasting", args=i) for i in range(50)]
        orphan = client.submit(pool="bound", args={"do": "hang"})
        daemon.restart()
    with daemon.connect() as client:
        records = client.wait(running, *queued, orphan)
        assert records[0]["outcome"] == "lost"
        assert [(record["outcome"], record["result"]) for record in records[1:-1]] == [("succeeded", i) for i in range(50)]
        assert {record["attempt"] for record in records[1:-1]} == {1}
        assert records[-1]["outcome"] == "cancelled"
        assert client.call("job.get", id=done)["result"] == worker
        assert [row["name"] for row in client.call("pool.list")["pools"]] == ["lasting"]
    until(lambda: not alive(worker), 10, "the end of the old worker")


def test_kill_of_the_runner(start):
    daemon = start()
    client = daemon.connect()
    client.call("pool.set", name="p", command=WORKER, size=1)
    client.wait(*[client.submit(pool="p") for _ in range(200)])
    running = client.submit(pool="p", args={"do": "hang"})
    pid = client.until_state(running, "running", "running")["pid"]
    queued = [client.submit(pool="p", args=i) for i in range(50)]
    (runner,) = [one for one in daemon.workers("runner") if pid in children(one)]
    os.kill(runner, signal.SIGKILL)
    records = client.wait(running, *queued)
    assert records[0]["outcome"] == "lost"
    assert [record["result"] for record in records[1:]] == list(range(50))
    assert not alive(pid)


def test_detach_ends_the_workers(start):
    daemon = start(daemon__on_stop="detach")
    client = daemon.connect()
    client.call("pool.set", name="p", command=WORKER, size=1)
    running = client.submit(pool="p", args={"do": "hang"})
    queued = client.submit(pool="p", args=7)
    pid = client.until_state(running, "running", "running")["pid"]
    client.call("daemon.shutdown")
    assert daemon.exit_code() == 0
    assert not alive(pid)
    daemon.launch()
    daemon.until_serving()
    lost, answered = daemon.connect().wait(running, queued)
    assert (lost["outcome"], answered["result"]) == ("lost", 7)


def test_pools_of_the_configuration(start, tmp_path):
    config = tmp_path / "stint.toml"
    command = json.dumps(WORKER)
    config.write_text(f'[pools.resize]\ncommand = {command}\nsize = 2\nidle_timeout = 30\nenv = {{ COLOUR = "blue" }}\n')
    daemon = start(flags=("--config", str(config)))
    client = daemon.connect()
    (row,) = client.call("pool.list")["pools"]
    assert (row["name"], row["size"], row["idle_timeout"]) == ("resize", 2, 30) and "user" not in row and "env" not in row
    assert ask(client, "resize", {"do": "environment", "name": "COLOUR"})["COLOUR"] == "blue"
    assert client.error("pool.set", name="resize", command=WORKER, size=1).kind == "conflict"
    assert client.error("pool.remove", name="resize", force=True).kind == "conflict"
