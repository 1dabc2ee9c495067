"""From inside a job: job.enter, its submits and leases, its progress, and the slot that it lends while it waits."""

import signal

import pytest
from harness import BIN, seconds, until

STINT = str(BIN / "stint")


@pytest.fixture(scope="module")
def settings():
    return {"process__slots": 2}


def enter(daemon, client, **job):
    """A job that runs, and a connection that speaks for it."""
    number = client.submit(**{"command": ["sleep", "60"], **job})
    attempt = client.until_state(number, "running", "running")["attempt"]
    inside = daemon.connect()
    assert inside.call("job.enter", job=number, attempt=attempt) == {}
    return number, inside


def test_enter_binds_submits_and_leases(daemon, client):
    job, inside = enter(daemon, client)
    child = inside.submit(task="echo", args=1)
    assert client.wait(child)[0]["parent"] == job
    lease = inside.call("lock.acquire", name="of the job")["lease"]
    inside.close()
    row = client.call("lock.list")["locks"][0]
    assert row["holders"] == [{"job": job, "lease": lease, "permits": 1}], "it is the job's, not the connection's"
    client.call("job.cancel", ids=[job], force=True)
    client.wait(job)
    until(lambda: client.call("lock.list")["locks"] == [])


def test_enter_asks_for_what_runs(daemon, client):
    job, inside = enter(daemon, client)
    assert client.error("job.enter", job=job, attempt=2).kind == "conflict"
    assert client.error("job.enter", job=999999, attempt=1).kind == "not_found"
    assert client.error("job.progress", value=0.5).kind == "conflict"
    other, _ = enter(daemon, client)
    assert inside.error("job.enter", job=other, attempt=1).kind == "conflict"
    for field, value in (("value", 1.5), ("text", "t" * 1025)):
        assert inside.error("job.progress", **{field: value}).field == field
    stream = client.call("feed.subscribe", kinds=["job.progress"])["stream"]
    inside.call("job.progress", value=0.25, text="a quarter")
    item = client.item(stream)
    assert (item["id"], item["value"], item["text"]) == (job, 0.25, "a quarter")
    assert client.call("job.get", id=job)["progress"] == 0.25
    client.call("job.cancel", ids=[job, other], force=True)
    client.wait(job, other)
    assert inside.error("job.progress", value=1).kind == "conflict"


def test_a_job_that_waits_lends_its_slot(daemon, client):
    entered = [enter(daemon, client) for _ in range(2)]
    blocked = client.submit(command=["sleep", "60"])
    assert client.call("job.why", id=blocked)["reasons"][0]["kind"] == "slots"
    job, inside = entered[0]
    waits = inside.post("event.wait", name="lend")
    client.until_state(blocked, "running", "running")
    assert client.call("job.get", id=job)["phase"] == "lent"
    client.call("event.set", name="lend")
    inside.answer(waits)
    assert client.call("job.get", id=job)["phase"] == "running", "counted again without waiting"
    waiting = client.submit(task="echo", args=1, executor="process")
    client.wait(waiting)
    queued = client.submit(command=["true"])
    assert client.call("job.get", id=queued)["state"] == "queued"
    client.call("job.cancel", ids=[blocked, job, entered[1][0]], force=True)
    client.wait(queued, blocked)
    client.call("event.clear", name="lend")


def test_jobs_that_wait_for_their_own_jobs_never_fill_the_pool(client):
    """Five levels deep on two slots, by the command line alone."""
    script = f'if [ "$1" -gt 0 ]; then {STINT} run -- sh -c "$2" x $(($1 - 1)) "$2"; else echo bottom; fi'
    record = client.run(command=["sh", "-c", script, "x", "5", script], env={"PATH": "/usr/bin:/bin"})
    assert record["outcome"] == "succeeded" and record["stdout"]["data"] == "bottom\n", record


def test_a_job_that_fans_out(client):
    """More parents than slots, each waits for its children."""
    script = f"{STINT} map -q -- true {{}} ::: 1 2 3 >/dev/null && echo all"
    many = client.call("job.submit_many", jobs=[{"shell": script}] * 6)
    records = client.results(group=many["group"], output=True)
    assert [(one["outcome"], one["stdout"]["data"]) for one in records] == [("succeeded", "all\n")] * 6


def test_a_drain_takes_the_jobs_of_a_running_job(start):
    daemon = start(process__slots=2)
    client = daemon.connect()
    job, inside = enter(daemon, client)
    drained = client.post("daemon.drain", scope="queued")
    other = daemon.connect()
    assert other.error("job.submit", job={"task": "echo"}).kind == "draining"
    child = inside.submit(command=["true"])
    assert inside.wait(child)[0]["parent"] == job
    other.call("job.cancel", ids=[job], force=True)
    assert client.answer(drained)["count"] == 0
    assert inside.error("job.submit", job={"task": "echo"}).kind == "draining", "the job has ended"


def test_a_drain_of_what_runs_does_not_wait_for_what_it_holds_up(start, tmp_path):
    """A job that waits for its own job, in a drain that starts nothing else."""
    daemon = start(process__slots=1)
    client = daemon.connect()
    go = tmp_path / "go"
    script = f"until [ -e {go} ]; do sleep 0.01; done; {STINT} run -- {STINT} run -- echo innermost"
    job = client.submit(command=["sh", "-c", script], env={"PATH": "/usr/bin:/bin"})
    client.until_state(job, "running", "running")
    queued = client.submit(command=["true"])
    drained = client.post("daemon.drain")
    other = daemon.connect()
    until(lambda: other.call("daemon.stats")["draining"], what="the drain")
    go.touch()
    assert client.answer(drained) == {"pending": [], "count": 0}
    assert client.output(job) == b"innermost\n"
    assert client.call("job.why", id=queued) == {"state": "queued", "reasons": [{"kind": "draining"}]}
    client.call("daemon.undrain")
    assert client.wait(queued)[0]["outcome"] == "succeeded"


def test_leases_of_a_job_over_a_restart(start):
    daemon = start(process__slots=2, lease__reclaim=0.2)
    client = daemon.connect()
    job, inside = enter(daemon, client)
    lease = inside.call("lock.acquire", name="over")
    daemon.restart()
    client = daemon.connect()
    client.until_state(job, "running", "running")
    assert client.error("lock.acquire", name="over", timeout=seconds(0.5)).kind == "timed_out", "the job still has it"
    inside = daemon.connect()
    inside.call("job.enter", job=job, attempt=1)
    assert inside.call("lease.resume", **lease) == lease
    client.call("job.cancel", ids=[job], force=True)
    assert client.call("lock.acquire", name="over")["token"] > lease["token"]


def test_a_job_that_would_wait_for_who_needs_its_lock(daemon, client):
    """job.wait is in the circles: with the locks of a job, with leases, and with other jobs that wait."""
    job, inside = enter(daemon, client, locks=["own"])
    child = inside.submit(task="echo", args=1, locks=["own"])
    error = inside.error("job.wait", ids=[child])
    assert error.kind == "conflict", error
    assert error.data["circle"] == [f"job {job}", "the end of jobs", f"job {child}", "lock own", f"job {job}"]
    assert inside.call("job.wait", ids=[child], timeout=0)["pending"] == [child], "a wait with a limit ends by itself"
    assert inside.error("job.wait", ids=[job]).data["circle"] == [f"job {job}", "the end of jobs", f"job {job}"]
    run = inside.error("job.run", job={"task": "echo", "locks": ["own"]})
    assert run.kind == "conflict" and len(run.data["circle"]) == 5
    ended = int(run.data["circle"][2].removeprefix("job "))
    assert client.call("job.get", id=ended)["outcome"] == "cancelled"

    other = daemon.connect()
    held = other.call("lock.acquire", name="another")
    blocked = client.submit(task="echo", args=1, locks=["another"])
    waits = inside.post("job.wait", ids=[blocked])
    until(lambda: client.call("job.get", id=job)["phase"] == "lent")
    other.call("lock.release", lease=held["lease"])
    assert inside.answer(waits)["pending"] == [], "no circle: somebody else holds it"
    client.call("job.cancel", ids=[job], force=True)
    assert client.wait(child)[0]["outcome"] == "succeeded"


def test_a_call_that_closes_the_circle(daemon, client):
    first, inside = enter(daemon, client)
    second, beside = enter(daemon, client)
    inside.call("lock.acquire", name="held", owner="a thread of the first")
    waits = inside.post("job.wait", ids=[second])
    until(lambda: client.call("job.get", id=first)["phase"] == "lent")
    with daemon.connect() as third:
        assert third.error("lock.acquire", name="held", timeout=0.01).kind == "timed_out", "nobody waits for a stranger"
    error = beside.error("job.wait", ids=[first])
    assert error.data["circle"] == [f"job {second}", "the end of jobs", f"job {first}", "the end of jobs", f"job {second}"]
    inside.close()
    until(lambda: client.call("job.get", id=first)["phase"] == "running")
    again = beside.post("job.wait", ids=[first])
    until(lambda: client.call("job.get", id=second)["phase"] == "lent", what="the wait that went with its connection is no more")
    client.call("job.cancel", ids=[first, second], force=True)
    client.wait(first, second)
    assert waits not in inside.answers and beside.answer(again)["pending"] == []
