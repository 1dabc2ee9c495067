"""The toolbox of concurrency: each idea that this version covers, as a scenario against the real daemon."""

import hashlib
import random
import time

import pytest
from harness import SANITIZED, seconds

EXECUTORS = ["thread", "coroutine", "process"]


@pytest.fixture(scope="module")
def settings():
    return {"in_memory": True, "process__slots": 6, "process__hosts": 2, "thread__threads": 10}


def test_start_name_list(client):
    jobs = [client.submit(command=["sh", "-c", "echo $STINT_JOB_ID; read line"], stdin="stream", name=name, group="named") for name in "abc"]
    for job in jobs:
        assert client.until_output(job, "\n").strip() == str(job), "a job finds its own id"
    running = client.call("job.list", state="running", group="named")["jobs"]
    assert [(job["id"], job["name"]) for job in running] == list(zip(jobs, "abc"))
    client.call("job.input", id=jobs[0], end=True)
    client.wait(jobs[0])
    assert [job["name"] for job in client.call("job.list", state="running", group="named")["jobs"]] == ["b", "c"]
    client.call("job.cancel", group="named")
    client.wait(*jobs)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_stop_flag_of_a_task(client, executor):
    job = client.submit(task="sleep", args={"seconds": 300}, executor=executor)
    client.until_state(job, "running", "running")
    before = time.monotonic()
    assert client.call("job.cancel", ids=[job])["stopping"] == [job]
    assert client.wait(job)[0]["outcome"] == "cancelled"
    assert time.monotonic() - before < seconds(2), "it ends by itself, within its grace"


def test_stop_flag_of_a_program(client):
    job = client.submit(shell="trap 'echo last words; exit 0' TERM; while :; do echo tick; sleep 0.05; done")
    client.until_output(job, "tick\ntick\n")
    client.call("job.cancel", ids=[job])
    record = client.wait(job)[0]
    assert (record["outcome"], record["exit_code"]) == ("cancelled", 0)
    assert client.output(job).endswith(b"tick\nlast words\n")


def test_join(client):
    job = client.submit(task="sleep", args={"seconds": 0.3}, executor="thread")
    before = time.monotonic()
    assert client.call("job.wait", ids=[job], timeout=0.05)["pending"] == [job]
    assert client.call("job.wait", ids=[job])["finished"][0]["outcome"] == "succeeded"
    assert time.monotonic() - before >= 0.25
    before = time.monotonic()
    client.call("job.wait", ids=[job])
    assert time.monotonic() - before < seconds(0.2), "a finished one is answered at once"


def test_shared_results(client):
    before = time.monotonic()
    many = client.call("job.submit_many", template={"task": "sleep", "executor": "thread"}, items=[{"seconds": 0.5}] * 10)
    records = client.results(group=many["group"])
    assert len(records) == 10 and 0.5 <= time.monotonic() - before < 0.5 + seconds(0.5)


def test_exceptions(client):
    jobs = [{"task": "echo", "args": k, "executor": executor} for executor in EXECUTORS for k in range(3)]
    jobs[4] = {"task": "fail", "args": {"message": "no luck"}, "executor": jobs[4]["executor"]}
    many = client.call("job.submit_many", jobs=[*jobs, {"shell": "echo why >&2; exit 9"}])
    records = client.results(group=many["group"], order="submission", output=True)
    assert [record["outcome"] for record in records].count("succeeded") == 8
    assert records[4]["outcome"] == "failed" and "no luck" in records[4]["error"]["message"] and records[4]["error"]["kind"]
    assert (records[-1]["exit_code"], records[-1]["stderr"]["data"]) == (9, "why\n")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_failing_tasks(client, executor):
    record = client.run(task="fail", args={"message": "no luck"}, executor=executor)
    assert record["outcome"] == "failed" and "no luck" in record["error"]["message"]


def test_first_failure_returns_early(client):
    slow = client.submit(command=["sleep", "30"], group="early")
    client.submit(task="fail", group="early")
    answer = client.call("job.wait", group="early", until="first_failure")
    assert answer["pending"] == [slow]
    client.call("job.cancel", ids=[slow])


def test_cancel_of_a_pending_future(client, tmp_path):
    witness = tmp_path / "started"
    blockers = [client.submit(command=["sleep", "0.5"]) for _ in range(6)]
    job = client.submit(command=["touch", str(witness)])
    assert client.call("job.cancel", ids=[job])["cancelled"] == [job]
    record = client.wait(job)[0]
    assert record["outcome"] == "cancelled" and "started_at" not in record
    client.wait(*blockers)
    assert not witness.exists()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_executor_choice(client, executor):
    record = client.run(task="echo", args={"a": [1, 2.5, None, "é"]}, executor=executor)
    assert record["result"] == {"a": [1, 2.5, None, "é"]} and record["executor"] == executor
    assert record["outcome"] == "succeeded" and record["attempt"] == 1


def test_digest_is_the_same_everywhere(client, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(random.Random(1).randbytes(300_000))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    executors = next(task["executors"] for task in client.call("task.list")["tasks"] if task["name"] == "digest")
    for executor in executors:
        record = client.run(task="digest", args={"file": str(path)}, executor=executor)
        assert expected in str(record.get("result")), record
    assert expected in client.run(command=["sha256sum", str(path)])["stdout"]["data"]


def test_process_pool_is_isolated_and_parallel(client):
    spins = [client.submit(task="spin", args={"seconds": 0.4}, executor="process") for _ in range(2)]
    records = client.wait(*spins)
    assert {record["outcome"] for record in records} == {"succeeded"}
    assert abs(records[0]["started_at"] - records[1]["started_at"]) < seconds(0.3), "both run at once"
    assert records[0]["worker"] != records[1]["worker"]


def test_twelve_mebibytes_through_shared_memory(client):
    text = random.Random(2).randbytes(6 << 20).hex()
    number = client.post("job.submit", job={"task": "echo", "args": text, "executor": "process"})
    quick = client.post("task.list")
    job = client.answer(number, 60)["id"]
    client.answer(quick)
    record = client.call("job.wait", ids=[job])["finished"][0]
    assert record["outcome"] == "succeeded" and "result" not in record and "args" not in record
    spec = client.call("job.spec", id=job)
    assert spec["result"] == text and spec["args"] == text
    record = client.run(task="digest", args={"string": text}, executor="process")
    assert hashlib.sha256(text.encode()).hexdigest() in str(record["result"])
    half = text[: 7 << 20]
    job = client.run(task="echo", args=half, executor="process")["id"]
    spec = client.call("job.spec", id=job)
    assert spec["result"] == half and spec["args"] == half


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("size", [65_533, 65_534, 65_535, 65_536, 1_000_000])
def test_payloads_around_the_border_of_shared_memory(client, executor, size):
    record = client.run(task="digest", args={"string": "x" * size}, executor=executor)
    assert hashlib.sha256(b"x" * size).hexdigest() in str(record["result"])


@pytest.mark.parametrize("size", [65_533, 65_534, 1_000_000])
def test_large_arguments_of_an_instant_coroutine(client, size):
    many = client.call("job.submit_many", jobs=[{"task": task, "executor": "coroutine", "args": "x" * size} for task in ("echo", "fail")])
    returned, failed = client.wait(many["first"], many["first"] + 1)
    assert client.call("job.spec", id=returned["id"])["result"] == "x" * size
    assert returned["started_at"] <= returned["finished_at"]
    assert failed["outcome"] == "failed" and failed["error"]["message"], failed


@pytest.mark.parametrize("executor", ["process", "coroutine"])
def test_nobody_waits_while_a_large_payload_passes(daemon, client, executor):
    text = "x" * (12 << 20)
    with daemon.connect() as other:
        client.post("job.submit", job={"task": "echo", "args": text, "executor": executor})
        slowest = 0
        for _ in range(50):
            before = time.monotonic()
            other.call("daemon.info")
            slowest = max(slowest, time.monotonic() - before)
        assert SANITIZED or slowest < 0.5, slowest


def test_coroutines_run_side_by_side(client):
    before = time.monotonic()
    many = client.call("job.submit_many", template={"task": "sleep", "executor": "coroutine"}, items=[{"seconds": 0.5}] * 500)
    assert len(client.results(group=many["group"])) == 500
    assert time.monotonic() - before < 0.5 + seconds(1)
