"""Jobs that run again, later, or not at all because it is too late: `retry`, `delay`, `at`, `expires`, `keep`."""

import time

import pytest
from harness import until

QUICK = {"max": 2, "delay": 0.05, "factor": 1}


def test_a_failed_program_runs_again_until_it_succeeds(client):
    job = {"shell": 'echo "try $STINT_ATTEMPT"; test $STINT_ATTEMPT = 3', "retry": QUICK}
    record = client.run(**job)
    assert (record["outcome"], record["attempt"], record["exit_code"]) == ("succeeded", 3, 0)
    assert record["retry"] == {"max": 2, "delay": 0.05, "factor": 1}
    for attempt in (1, 2, 3):
        assert client.output(record["id"], attempt=attempt) == f"try {attempt}\n".encode()
    assert client.output(record["id"]) == b"try 3\n"
    assert client.error("job.output", id=record["id"], attempt=4).kind == "not_found"


def test_the_last_attempt_is_the_result(client):
    events = client.call("feed.subscribe", kinds=["job.retrying", "job.finished"])["stream"]
    record = client.run(command=["false"], retry=QUICK)
    assert (record["outcome"], record["attempt"], record["exit_code"]) == ("failed", 3, 1)
    seen = [client.item(events) for _ in range(3)]
    assert [(event["kind"], event["attempt"], event["outcome"]) for event in seen] == [
        ("job.retrying", 1, "failed"), ("job.retrying", 2, "failed"), ("job.finished", 3, "failed")]
    assert seen[0]["until"] - seen[0]["at"] == pytest.approx(0.05, abs=0.04)
    client.call("stream.cancel", stream=events)


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("executor", ["thread", "coroutine", "process"])
def test_tasks_run_again(client, executor, durable):
    record = client.run(task="fail", args={"message": "no"}, executor=executor, durable=durable, retry=QUICK)
    assert (record["outcome"], record["attempt"]) == ("failed", 3)


def test_a_timeout_runs_again_only_where_that_is_listed(client):
    assert client.run(command=["sleep", "9"], timeout=0.05, retry=QUICK)["attempt"] == 3
    assert client.run(command=["sleep", "9"], timeout=0.05, retry={**QUICK, "on": ["failed"]})["attempt"] == 1


def test_a_job_that_waits_says_so_and_can_be_cancelled(client):
    number = client.submit(shell="echo out; exit 1", retry={"max": 1, "delay": 1000})
    client.until_state(number, "waiting")
    answer = client.call("job.why", id=number)
    assert answer["state"] == "waiting" and answer["reasons"][0]["kind"] == "retry", answer
    assert answer["reasons"][0]["until"] > time.time() + 900
    assert number in [job["id"] for job in client.call("job.list", state="waiting")["jobs"]]
    assert client.call("daemon.stats")["states"]["waiting"] == 1
    assert client.output(number) == b"out\n"  # of the attempt that has ended
    assert client.call("job.cancel", ids=[number])["cancelled"] == [number]
    (record,) = client.wait(number)
    assert (record["outcome"], record["attempt"]) == ("cancelled", 1)
    assert client.output(number) == b"out\n"
    assert client.call("daemon.stats")["states"]["waiting"] == 0


def test_following_goes_on_through_all_attempts(client):
    number = client.submit(shell='echo "a$STINT_ATTEMPT"; exit 1', retry=QUICK, delay=0.1)
    stream = client.call("job.output", id=number, follow=True)["stream"]
    pieces = client.rest(stream)
    assert client.ends[stream]["reason"] == "complete"
    assert "".join(piece["data"] for piece in pieces) == "a1\na2\na3\n"
    assert [piece["attempt"] for piece in pieces if piece["data"]] == [1, 2, 3]
    assert [piece["end"] for piece in pieces][-1] is True
    late = client.call("job.output", id=number, attempt=2, follow=True)["stream"]
    assert "".join(piece["data"] for piece in client.rest(late)) == "a2\na3\n"


def test_large_output_of_an_earlier_attempt_is_kept(client):
    number = client.submit(shell='head -c 200000 /dev/zero | tr "\\0" $STINT_ATTEMPT; exit 1', retry={"max": 1, "delay": 0})
    client.wait(number)
    for attempt in (1, 2):
        assert client.output(number, attempt=attempt) == str(attempt).encode() * 200_000


def test_a_delay_and_a_time(client):
    begun = time.time()
    later, at = client.submit(command=["true"], delay=0.3), client.submit(command=["true"], at=begun + 0.4)
    assert client.call("job.why", id=later)["reasons"][0]["kind"] == "time"
    first, second = client.wait(later, at)
    assert first["started_at"] >= first["submitted_at"] + 0.3
    assert second["started_at"] >= begun + 0.4
    assert client.run(command=["true"], at=1)["outcome"] == "succeeded"


def test_what_has_not_started_in_time_expires(client):
    number = client.submit(command=["true"], delay=1000, expires=0.1)
    (record,) = client.wait(number)
    assert (record["outcome"], record["attempt"]) == ("expired", 0) and "started_at" not in record
    assert client.run(command=["sleep", "0.3"], expires=0.2)["outcome"] == "succeeded", "it had started"


def test_waits_outlive_the_daemon(start):
    daemon = start()
    client = daemon.connect()
    retried = client.submit(shell="echo $STINT_ATTEMPT; test $STINT_ATTEMPT = 2", retry={"max": 1, "delay": 1})
    delayed = client.submit(command=["true"], delay=1)
    far = client.submit(command=["true"], delay=1000, expires=500)
    client.until_state(retried, "waiting")
    daemon.restart()
    client = daemon.connect()
    assert client.call("job.get", id=retried)["state"] == "waiting"
    assert client.output(retried) == b"1\n"
    assert client.call("job.why", id=far)["reasons"][0]["kind"] == "time"
    first, second = client.wait(retried, delayed)
    assert (first["outcome"], first["attempt"], second["outcome"]) == ("succeeded", 2, "succeeded")
    assert client.output(retried, attempt=1) == b"1\n"
    client.call("job.cancel", ids=[far])


def test_lost_runs_again_only_where_that_is_listed(start):
    daemon = start()
    client = daemon.connect()
    task = {"task": "sleep", "args": {"seconds": 0.3}}
    plain = client.submit(**task, retry={"max": 3, "delay": 0})
    asked = client.submit(**task, retry={"max": 3, "delay": 0, "on": ["lost"]})
    for number in (plain, asked):
        client.until_state(number, "running")
    daemon.restart()
    client = daemon.connect()
    first, second = client.wait(plain, asked)
    assert (first["outcome"], first["attempt"]) == ("lost", 1)
    assert (second["outcome"], second["attempt"]) == ("succeeded", 2)


def test_a_program_that_died_with_its_runner_runs_again_where_lost_is_listed(start):
    daemon = start(process__runners=1)
    client = daemon.connect()
    number = client.submit(shell="test $STINT_ATTEMPT = 2 || sleep 1000", retry={"max": 1, "delay": 0, "on": ["lost"]})
    client.until_state(number, "running", phase="running")
    daemon.kill_everything()
    daemon.restart()
    (record,) = daemon.connect().wait(number)
    assert (record["outcome"], record["attempt"]) == ("succeeded", 2)


def test_a_key_stands_for_the_job_in_all_its_attempts(client):
    job = {"command": ["false"], "retry": {"max": 1, "delay": 1000}, "key": "again"}
    number = client.submit(**job)
    client.until_state(number, "waiting")
    assert client.call("job.submit", job=job) == {"id": number, "duplicate": True}
    other = {**job, "retry": {"max": 2, "delay": 1000}}
    assert client.error("job.submit", job=other).kind == "conflict"
    client.call("job.cancel", ids=[number])


def test_a_drain_does_not_wait_for_a_time(start):
    daemon = start()
    client = daemon.connect()
    number = client.submit(command=["true"], delay=1000)
    assert client.call("daemon.drain", scope="queued", timeout=20) == {"pending": [], "count": 0}
    client.call("daemon.undrain")
    client.call("job.cancel", ids=[number])


def test_keep_counts_for_retention_age(start):
    daemon = start(retention__age=1)
    client = daemon.connect()
    kept = client.run(command=["echo", "kept"], keep=1000)["id"]
    plain = client.run(command=["true"])["id"]

    def purged(number):
        found = [job["id"] for job in client.call("job.list", limit=1000)["jobs"]]
        return number not in found

    until(lambda: purged(plain), 20, "the record to grow old")
    assert client.output(kept) == b"kept\n"
    daemon.restart()
    client = daemon.connect()
    assert client.output(kept) == b"kept\n"
    short = client.run(command=["true"], keep=0, key="short")["id"]
    until(lambda: purged(short), 20, "the short record to go")
    assert client.error("job.get", id=short).kind == "purged"
    assert client.submit(command=["true"], keep=0, key="short") > short
