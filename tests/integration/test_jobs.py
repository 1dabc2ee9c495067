"""The methods around single jobs: submit, get, spec, list, wait, why, cancel, signal, forget, run."""

import time

import pytest
from harness import seconds


def test_a_record_says_what_was_asked_and_what_happened(client):
    before = time.time()
    number = client.submit(command=["sh", "-c", "echo out; echo err >&2; exit 3"], name="n", tags=["a", "b"], group="record",
                           env={"SECRET": "s"}, stdin="secret", timeout=20, priority=5, cwd="/", umask="027")
    client.wait(number)
    record = client.call("job.get", id=number)
    expected = {
        "id": number, "state": "finished", "outcome": "failed", "exit_code": 3, "name": "n", "tags": ["a", "b"], "group": "record",
        "priority": 5, "executor": "process", "queue": "default", "attempt": 1, "timeout": 20, "cwd": "/", "umask": "027",
        "stdout": {"bytes": 4, "truncated": False}, "stderr": {"bytes": 4, "truncated": False},
    }
    assert {key: record.get(key) for key in expected} == expected
    assert record["seq"] > 0 and record["worker"] and record["user"]
    assert before - 1 < record["submitted_at"] <= record["started_at"] <= record["finished_at"] < time.time() + 1
    assert record["duration"] == pytest.approx(record["finished_at"] - record["started_at"], abs=1e-3)
    assert record["usage"]["max_rss"] > 0
    assert "env" not in record and "stdin" not in record and "signal" not in record


def test_the_whole_specification(client):
    job = {"command": ["true"], "env": {"A": "b"}, "stdin": "text", "timeout": 2.5, "durable": False, "stderr": "stdout"}
    number = client.submit(**job)
    spec = client.call("job.spec", id=number)
    assert {key: spec.get(key) for key in job} == job


def test_ids_only_grow(client):
    numbers = [client.submit(task="echo") for _ in range(5)]
    many = client.call("job.submit_many", jobs=[{"task": "echo"}] * 10)
    assert many["count"] == 10 and many["group"]
    numbers += range(many["first"], many["first"] + 10)
    assert numbers == sorted(set(numbers))
    assert client.call("job.submit", job={"task": "echo"})["duplicate"] is False


def test_submit_many_with_a_template(client):
    many = client.call("job.submit_many", template={"command": ["printf", "%s|%s|", "<{}>", "{}{}"]}, items=["a b", 7, "{}", "é\n"])
    records = client.results(group=many["group"], order="submission", output=True)
    assert [record["stdout"]["data"] for record in records] == ["<a b>|a ba b|", "<7>|77|", "<{}>|{}{}|", "<é\n>|é\né\n|"]
    assert [record["item"] for record in records] == ["a b", 7, "{}", "é\n"]
    assert [record["index"] for record in records] == [0, 1, 2, 3]
    assert [record["id"] for record in records] == list(range(many["first"], many["first"] + 4))


def test_submit_many_with_a_marker_of_ones_own(client):
    many = client.call("job.submit_many", template={"command": ["echo", "{}", "%i"]}, items=[1, 2], marker="%i", group="marked")
    assert many["group"] == "marked"
    assert [r["stdout"]["data"] for r in client.results(group="marked", order="submission", output=True)] == ["{} 1\n", "{} 2\n"]


def test_items_of_shell_and_task(client):
    hostile = "$(echo bad); `echo bad` \" ' \\ * "
    many = client.call("job.submit_many", template={"shell": 'printf %s "$STINT_ITEM"'}, items=[hostile, 5])
    assert [r["stdout"]["data"] for r in client.results(group=many["group"], order="submission", output=True)] == [hostile, "5"]
    items = [None, 1.5, {"a": [1]}, "x"]
    many = client.call("job.submit_many", template={"task": "echo"}, items=items)
    assert [record["result"] for record in client.results(group=many["group"], order="submission")] == items


def test_run_is_submit_and_wait(client):
    record = client.run(command=["echo", "hello"])
    assert record["outcome"] == "succeeded" and record["stdout"]["data"] == "hello\n"
    record = client.run(task="echo", args={"x": [1, None]})
    assert record["result"] == {"x": [1, None]}


def test_run_with_a_timeout_leaves_the_job(client):
    job = {"task": "sleep", "args": {"seconds": 30}, "executor": "coroutine", "group": "left"}
    record = client.call("job.run", job=job, timeout=0.1)
    assert record["state"] == "running"
    assert client.call("job.get", id=record["id"])["state"] == "running"
    client.call("job.cancel", ids=[record["id"]])


def test_wait_for_all_first_and_first_failure(client):
    slow = client.submit(task="sleep", args={"seconds": 20}, executor="coroutine")
    quick = client.submit(task="sleep", args={"seconds": 0.1}, executor="coroutine")
    bad = client.submit(command=["sh", "-c", "sleep 0.4; exit 1"])
    first = client.call("job.wait", ids=[slow, quick, bad], until="first")
    assert [record["id"] for record in first["finished"]] == [quick] and sorted(first["pending"]) == [slow, bad]
    failure = client.call("job.wait", ids=[slow, quick, bad], until="first_failure")
    assert sorted(record["id"] for record in failure["finished"]) == [quick, bad] and failure["pending"] == [slow]
    client.call("job.cancel", ids=[slow])
    done = client.call("job.wait", ids=[slow, quick, bad], until="all")
    assert len(done["finished"]) == 3 and done["pending"] == []


def test_wait_gives_up_after_its_timeout(client):
    job = client.submit(task="sleep", args={"seconds": 30}, executor="coroutine")
    before = time.monotonic()
    answer = client.call("job.wait", ids=[job], timeout=0.2)
    assert 0.2 <= time.monotonic() - before < seconds(2)
    assert answer == {"finished": [], "pending": [job]}
    assert client.call("job.wait", ids=[job], timeout=0)["pending"] == [job]
    client.call("job.cancel", ids=[job])


def test_wait_for_a_group(client):
    client.call("job.submit_many", jobs=[{"task": "echo", "args": k} for k in range(5)], group="waited")
    answer = client.call("job.wait", group="waited")
    assert sorted(record["result"] for record in answer["finished"]) == list(range(5))
    assert client.call("job.wait", group="waited")["pending"] == [], "a finished group is answered at once"


def test_list_filters_and_pages(client):
    client.call("job.submit_many", jobs=[{"task": "echo", "name": f"n{k % 2}", "tags": [f"t{k % 3}"]} for k in range(12)], group="listed")
    client.call("job.submit", job={"task": "fail", "group": "listed"})
    client.call("job.wait", group="listed")

    def ids(**filters):
        found, since = [], 0
        while True:
            page = client.call("job.list", group="listed", since_id=since, **filters)
            assert len(page["jobs"]) <= filters.get("limit", 100)
            found += [job["id"] for job in page["jobs"]]
            if page.get("next") is None:
                return found
            since = page["next"]

    everything = ids()
    assert everything == sorted(everything) and len(everything) == 13
    assert ids(limit=5) == everything
    assert len(ids(name="n1")) == 6 and len(ids(tag="t0")) == 4 and len(ids(name="n1", tag="t0")) == 2
    assert len(ids(outcome="failed")) == 1 and len(ids(state="finished")) == 13 and ids(state="running") == []
    assert ids(queue="default") == everything


def test_list_of_running_jobs(client):
    numbers = [client.submit(command=["sleep", "30"], name=f"worker-{k}", group="three") for k in range(3)]
    for number in numbers:
        client.until_state(number, "running", "running")
    listed = client.call("job.list", group="three", state="running")["jobs"]
    assert [job["name"] for job in listed] == ["worker-0", "worker-1", "worker-2"]
    client.call("job.cancel", ids=[numbers[1]])
    client.wait(numbers[1])
    assert len(client.call("job.list", group="three", state="running")["jobs"]) == 2
    client.call("job.cancel", group="three", force=True)
    client.wait(*numbers)


def test_why_a_job_does_not_run(client):
    running = [client.submit(command=["sleep", "30"], group="full") for _ in range(6)]
    queued = [client.submit(command=["true"], group="full") for _ in range(3)]
    reasons = client.call("job.why", id=queued[2])["reasons"]
    assert [reason["kind"] for reason in reasons] == ["slots"]
    assert reasons[0]["ahead"] == 2
    answer = client.call("job.cancel", group="full", force=True)
    assert sorted(answer["cancelled"]) == queued and sorted(answer["stopping"]) == running
    client.wait(*running)
    assert client.call("job.why", id=running[0])["reasons"] == []


def test_priority_goes_first_and_age_counts(start):
    client = start(process__slots=1).connect()
    blockers = [client.submit(command=["sleep", "0.5"], group="line")]
    low = [client.submit(command=["true"], group="line", priority=-10) for _ in range(3)]
    high = [client.submit(command=["true"], group="line", priority=10) for _ in range(3)]
    records = {record["id"]: record for record in client.results(group="line")}
    assert len(records) == len(blockers) + 6
    assert max(records[k]["started_at"] for k in high) <= min(records[k]["started_at"] for k in low)


def test_cancel_before_during_and_after(client):
    done = client.run(task="echo")["id"]
    running = client.submit(command=["sleep", "30"])
    client.until_state(running, "running", "running")
    answer = client.call("job.cancel", ids=[done, running])
    assert answer == {"cancelled": [], "stopping": [running], "already_finished": [done]}
    record = client.wait(running)[0]
    assert (record["outcome"], record["signal"]) == ("cancelled", 15)
    again = client.call("job.cancel", ids=[running])
    assert again["already_finished"] == [running]


def test_cancel_leaves_alone_what_runs(client):
    running = [client.submit(command=["sleep", "30"], group="left alone") for _ in range(6)]
    for number in running:
        client.until_state(number, "running", "running")
    queued = [client.submit(command=["true"], group="left alone") for _ in range(3)]
    answer = client.call("job.cancel", ids=[running[0], queued[0]], running=False)
    assert answer == {"cancelled": [queued[0]], "stopping": [], "already_finished": []}
    answer = client.call("job.cancel", group="left alone", running=False)
    assert (answer["cancelled"], answer["stopping"]) == (queued[1:], [])
    assert all(client.call("job.get", id=number)["phase"] == "running" for number in running)
    assert sorted(client.call("job.cancel", group="left alone", force=True)["stopping"]) == running
    client.wait(*running)


def test_cancel_by_force(client):
    number = client.submit(command=["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
    client.until_output(number, "ready")
    client.call("job.cancel", ids=[number], force=True)
    record = client.wait(number)[0]
    assert (record["outcome"], record["signal"]) == ("cancelled", 9)


def test_signals_go_to_the_process_group(client):
    number = client.submit(command=["sh", "-c", "trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.02; done"])
    client.until_output(number, "ready")
    client.call("job.signal", id=number, signal="USR1")
    record = client.wait(number)[0]
    assert (record["outcome"], record["exit_code"]) == ("failed", 7)
    assert client.output(number) == b"ready\ngot it\n"


def test_timeout(client):
    record = client.run(command=["sleep", "30"], timeout=0.2)
    assert record["outcome"] == "timed_out" and record["signal"] == 15
    record = client.run(command=["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], timeout=0.2, grace=0.2)
    assert record["outcome"] == "timed_out" and record["signal"] == 9
    assert record["duration"] < seconds(5)
    for executor in ("thread", "coroutine", "process"):
        record = client.run(task="sleep", args={"seconds": 30}, executor=executor, timeout=0.2)
        assert record["outcome"] == "timed_out", executor


def test_forget_by_ids_group_and_age(client):
    jobs = [client.run(task="echo", group="old")["id"] for _ in range(4)]
    assert client.call("job.forget", ids=jobs[:1])["forgotten"] == 1
    assert client.call("job.forget", group="old")["forgotten"] == 3
    for job in jobs:
        assert client.error("job.get", id=job).kind in ("purged", "not_found")
    fresh = client.run(task="echo")["id"]
    client.call("job.forget", older_than=3600)
    assert client.call("job.get", id=fresh)["id"] == fresh
    client.call("job.forget", older_than=0)
    assert client.error("job.get", id=fresh).kind in ("purged", "not_found")


def test_non_durable_jobs(client):
    many = client.call("job.submit_many", jobs=[{"task": "echo", "args": k, "durable": False} for k in range(100)])
    assert sorted(record["result"] for record in client.results(group=many["group"])) == list(range(100))
    record = client.run(command=["echo", "x"], durable=False)
    assert record["outcome"] == "succeeded" and record["durable"] is False and record["stdout"]["data"] == "x\n"


def test_what_cannot_be_started(client, tmp_path):
    record = client.run(command=["/no/such/program"])
    assert (record["outcome"], record["exit_code"], record["error"]["kind"]) == ("failed", 127, "spawn")
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    record = client.run(command=[str(plain)])
    assert (record["outcome"], record["exit_code"]) == ("failed", 126)
    record = client.run(command=["true"], cwd="/no/such/directory")
    assert record["outcome"] == "failed" and record["error"]["kind"] == "spawn" and "/no/such/directory" in record["error"]["message"]
    record = client.run(command=["true"], stdin={"file": "/no/such/input"})
    assert record["outcome"] == "failed" and "/no/such/input" in record["error"]["message"]


def test_task_list(client):
    tasks = {task["name"]: task for task in client.call("task.list")["tasks"]}
    assert {"sleep", "echo", "fail", "digest", "spin"} <= set(tasks)
    for task in tasks.values():
        assert task["description"] and task["executors"] and isinstance(task["parameters"], list)


def test_duration_spans_the_whole_run(client):
    record = client.run(command=["sleep", "0.3"])
    assert 0.3 <= record["duration"] == pytest.approx(record["finished_at"] - record["started_at"], abs=1e-5)
    assert record["submitted_at"] <= record["started_at"]
