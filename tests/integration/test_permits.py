"""Locks, semaphores and concurrency keys: of jobs and of calls, in one line, over deaths and restarts."""

import time

import pytest
from harness import Client, RpcError, seconds, until


@pytest.fixture(scope="module")
def settings():
    return {"process__slots": 4, "coroutine__slots": 1000}


def lock(client, name):
    return next((row for row in client.call("lock.list")["locks"] if row["name"] == name), None)


def semaphore(client, name):
    return next((row for row in client.call("semaphore.list")["semaphores"] if row["name"] == name), None)


def why(client, job):
    return client.call("job.why", id=job)["reasons"]


def test_a_lock_passes_from_call_to_call(daemon, client):
    first = client.call("lock.acquire", name="a")
    with daemon.connect() as other:
        waits = other.post("lock.acquire", name="a")
        until(lambda: lock(client, "a")["waiting"] == 1)
        assert lock(client, "a")["holders"] == [{"lease": first["lease"], "permits": 1}]
        assert other.error("lock.release", lease=first["lease"]).kind == "permission_denied"
        client.call("lock.release", lease=first["lease"])
        second = other.answer(waits)
        assert second["token"] > first["token"]
        assert client.error("lock.release", lease=first["lease"]).kind == "not_found"
    until(lambda: lock(client, "a") is None, what="the end of the lease with its connection")


def test_timeouts(daemon, client):
    held = client.call("lock.acquire", name="t")
    with daemon.connect() as other:
        for timeout in (0, 0.05):
            assert other.error("lock.acquire", name="t", timeout=timeout).kind == "timed_out"
        assert lock(client, "t")["waiting"] == 0
        client.call("lock.release", lease=held["lease"])
        assert other.call("lock.acquire", name="t", timeout=0)["lease"] > held["lease"]


def test_who_dies_while_it_waits_or_is_served_passes_its_turn_on(daemon, client):
    for _ in range(30):
        held = client.call("lock.acquire", name="d")
        dying = [daemon.connect() for _ in range(3)]
        for one in dying:
            one.post("lock.acquire", name="d")
        until(lambda: lock(client, "d")["waiting"] == 3)
        with daemon.connect() as last:
            waits = last.post("lock.acquire", name="d")
            until(lambda: lock(client, "d")["waiting"] == 4)
            # In one go: the first of them is served while it goes away.
            client.post("lock.release", lease=held["lease"])
            for one in dying:
                one.close()
            last.answer(waits)
        until(lambda: lock(client, "d") is None)


def test_semaphores(daemon, client):
    error = client.error("semaphore.acquire", name="nobody")
    assert (error.kind, error.field) == ("not_found", "name")
    client.call("semaphore.set", name="s", permits=3)
    error = client.error("semaphore.acquire", name="s", permits=4)
    assert (error.kind, error.field, error.data["value"]) == ("limit_exceeded", "permits", 3)
    one = client.call("semaphore.acquire", name="s", permits=2)
    with daemon.connect() as other:
        waits = other.post("semaphore.acquire", name="s", permits=2)
        until(lambda: semaphore(client, "s")["waiting"] == 1)
        small = client.call("semaphore.acquire", name="s")
        assert semaphore(client, "s")["used"] == 3
        client.call("semaphore.release", lease=small["lease"])
        client.call("semaphore.set", name="s", permits=4)
        assert other.answer(waits)["lease"]
    client.call("semaphore.release", lease=one["lease"])
    until(lambda: semaphore(client, "s")["used"] == 0)
    assert semaphore(client, "s")["permits"] == 4
    for field, value in (("permits", -1), ("permits", 1_000_001), ("name", ""), ("name", "n" * 257)):
        assert client.error("semaphore.set", **{"name": "x", "permits": 1, field: value}).field == field


def test_fields_of_a_job(client):
    for job, field, kind in (
        ({"locks": ["a", "a"]}, "job.locks[1]", "invalid_params"),
        ({"locks": [""]}, "job.locks[0]", "invalid_params"),
        ({"locks": ["n" * 257]}, "job.locks[0]", "invalid_params"),
        ({"locks": [str(number) for number in range(65)]}, "job.locks", "invalid_params"),
        ({"semaphores": {"s": 0}}, "job.semaphores.s", "invalid_params"),
        ({"semaphores": {"nobody": 1}}, "job.semaphores.nobody", "not_found"),
        ({"semaphores": {"small": 3}}, "job.semaphores.small", "limit_exceeded"),
        ({"concurrency": {"key": "k", "limit": 0}}, "job.concurrency.limit", "invalid_params"),
        ({"concurrency": {"key": "k"}}, "job.concurrency.limit", "invalid_params"),
    ):
        client.call("semaphore.set", name="small", permits=2)
        error = client.error("job.submit", job={"task": "sleep", **job})
        assert (error.field, error.kind) == (field, kind), job
    record = client.run(task="echo", args=1, locks=[str(number) for number in range(64)], semaphores={"small": 2},
                        concurrency={"key": "k", "limit": 1})
    assert record["outcome"] == "succeeded" and record["semaphores"] == {"small": 2}
    assert record["concurrency"] == {"key": "k", "limit": 1} and len(record["locks"]) == 64


def test_jobs_and_calls_stand_in_one_line(daemon, client):
    held = client.call("lock.acquire", name="one")
    job = client.submit(task="echo", args=1, locks=["one"], executor="coroutine")
    with daemon.connect() as other:
        waits = other.post("lock.acquire", name="one")
        until(lambda: lock(client, "one")["waiting"] == 2)
        assert why(client, job) == [{"kind": "lock", "name": "one", "ahead": 0}]
        client.call("lock.release", lease=held["lease"])
        assert other.answer(waits)["lease"]
        assert client.wait(job)[0]["outcome"] == "succeeded"
    reasons = []
    held = client.call("lock.acquire", name="one")
    jobs = [client.submit(task="echo", args=1, locks=["one"], executor="coroutine") for _ in range(3)]
    assert [why(client, one)[0]["ahead"] for one in jobs] == [0, 1, 2], reasons
    client.call("job.cancel", ids=[jobs[1]])
    assert why(client, jobs[2])[0]["ahead"] == 1
    client.call("lock.release", lease=held["lease"])
    assert [record["outcome"] for record in client.wait(*jobs)] == ["succeeded", "cancelled", "succeeded"]


def test_nobody_behind_a_lock_blocks_anybody_else(client):
    """The line of the lane goes on beside jobs that lack a permit, and a long line costs nothing."""
    held = client.call("lock.acquire", name="far")
    first = client.call("job.submit_many", template={"task": "sleep", "locks": ["far"], "executor": "coroutine"},
                        items=[{"seconds": 0}] * 5000)
    before = time.monotonic()
    for _ in range(50):
        client.run(task="echo", args=1, executor="coroutine")
    assert time.monotonic() - before < seconds(5)
    assert why(client, first["first"] + 4999) == [{"kind": "lock", "name": "far", "ahead": 4999}]
    assert client.call("daemon.stats")["states"]["queued"] == 5000
    client.call("job.cancel", group=first["group"])
    client.call("lock.release", lease=held["lease"])
    until(lambda: lock(client, "far") is None)


def test_concurrency(client):
    many = client.call("job.submit_many", template={"task": "sleep", "executor": "coroutine", "concurrency": {"key": "c", "limit": 3}},
                       items=[{"seconds": 0.05}] * 12)
    records = client.results(group=many["group"])
    edges = sorted([(one["started_at"], 1) for one in records] + [(one["finished_at"], -1) for one in records])
    running, most = 0, 0
    for _, step in edges:
        running += step
        most = max(most, running)
    assert most == 3 and len(records) == 12


def test_permits_come_back_when_the_tree_is_gone(client, tmp_path):
    """The program has ended and what it left behind is being killed: until then the lock is held."""
    left = tmp_path / "left"
    job = client.submit(shell=f"(trap '' TERM; while :; do date +%s.%N > {left}.new && mv {left}.new {left}; sleep 0.02; done) & sleep 0.2", locks=["tree"])
    after = client.submit(shell=f"cat {left}; date +%s.%N", locks=["tree"])
    client.wait(job, after)
    last, begun = (float(word) for word in client.output(after).split())
    assert last <= begun, "nothing was written after the next one had begun"


def test_a_holder_that_is_killed(daemon, client):
    job = client.submit(command=["sleep", "60"], locks=["killed"])
    record = client.until_state(job, "running", "running")
    waits = client.submit(task="echo", args=1, locks=["killed"])
    assert why(client, waits) == [{"kind": "lock", "name": "killed", "ahead": 0}]
    import os

    os.kill(record["pid"], 9)
    assert client.wait(job, waits)[1]["outcome"] == "succeeded"
    assert lock(client, "killed") is None


def test_a_semaphore_of_no_permits_goes_when_nobody_needs_it(start):
    daemon = start(process__slots=1)
    client = daemon.connect()
    client.call("semaphore.set", name="kept", permits=2)
    client.call("semaphore.set", name="gone", permits=2)
    lease = client.call("semaphore.acquire", name="gone")["lease"]
    client.call("semaphore.set", name="gone", permits=0)
    assert semaphore(client, "gone")["used"] == 1
    assert client.error("semaphore.acquire", name="gone").kind == "limit_exceeded"
    client.call("semaphore.release", lease=lease)
    assert semaphore(client, "gone") is None
    assert client.error("semaphore.acquire", name="gone").kind == "not_found"
    daemon.restart()
    client = daemon.connect()
    assert [row["name"] for row in client.call("semaphore.list")["semaphores"]] == ["kept"]


def test_more_permits_than_there_are_will_not_do_later(client):
    client.call("semaphore.set", name="few", permits=2)
    error = client.error("semaphore.acquire", name="few", permits=3)
    assert (error.kind, error.field, error.data["limit"], error.data["value"]) == ("limit_exceeded", "permits", "permits", 2)
    assert error.data["retryable"] is False


def test_circles_are_found_between_owners(daemon, client):
    a = client.call("lock.acquire", name="ca", owner="ann")
    with daemon.connect() as other:
        other.call("lock.acquire", name="cb", owner="bob")
        waits = other.post("lock.acquire", name="ca", owner="bob")
        until(lambda: lock(client, "ca")["waiting"] == 1)
        error = client.error("lock.acquire", name="cb", owner="ann")
        assert error.kind == "conflict"
        assert error.data["circle"] == ["owner ann", "lock cb", "owner bob", "lock ca", "owner ann"]
        assert client.error("lock.acquire", name="ca", owner="ann").data["circle"] == ["owner ann", "lock ca", "owner ann"]
        other_owner = client.post("lock.acquire", name="cb", owner="cy")
        client.call("lock.release", lease=a["lease"])
        other.answer(waits)
    assert client.answer(other_owner)["lease"]


def test_a_circle_over_semaphores_needs_all_permits(daemon, client):
    client.call("semaphore.set", name="two", permits=2)
    client.call("semaphore.acquire", name="two", owner="ann")
    free = client.call("semaphore.acquire", name="two", owner="free")
    client.call("lock.acquire", name="cs", owner="bob")
    bob = client.post("semaphore.acquire", name="two", owner="bob")
    until(lambda: semaphore(client, "two")["waiting"] == 1)
    ann = client.post("lock.acquire", name="cs", owner="ann")
    with daemon.connect() as other:
        until(lambda: lock(other, "cs")["waiting"] == 1, what="no circle: one of the permits will come back")
    client.call("semaphore.release", lease=free["lease"])
    assert client.answer(bob)["lease"]
    assert ann not in client.answers


def test_a_circle_that_a_grant_closes(daemon, client):
    """Bob waits for two locks at once; the one that he gets is what Ann waits for, who holds the other."""
    third = client.call("lock.acquire", name="second", owner="third")
    client.call("lock.acquire", name="first", owner="ann")
    with daemon.connect() as bob, daemon.connect() as ann:
        first = bob.post("lock.acquire", name="first", owner="bob")
        second = bob.post("lock.acquire", name="second", owner="bob")
        until(lambda: lock(client, "second")["waiting"] == 1)
        anns = ann.post("lock.acquire", name="second", owner="ann")
        until(lambda: lock(client, "second")["waiting"] == 2, what="no circle: third will give it back")
        client.call("lock.release", lease=third["lease"])
        with pytest.raises(RpcError) as refused:
            bob.answer(first)
        error = refused.value
        assert error.kind == "conflict"
        assert error.data["circle"] == ["owner bob", "lock first", "owner ann", "lock second", "owner bob"]
        lease = bob.answer(second)["lease"]
        assert lock(client, "first")["waiting"] == 0
        bob.call("lock.release", lease=lease)
        assert ann.answer(anns)["lease"]


def test_a_circle_that_a_job_closes_whose_time_has_come(daemon, client):
    """A job holds what its delayed job needs, and waits for that."""
    parent = client.submit(command=["sleep", "60"])
    attempt = client.until_state(parent, "running", "running")["attempt"]
    with daemon.connect() as inside:
        inside.call("job.enter", job=parent, attempt=attempt)
        lease = inside.call("lock.acquire", name="delayed")["lease"]
        child = inside.submit(task="echo", args=1, locks=["delayed"], delay=seconds(0.5))
        error = inside.error("job.wait", ids=[child])
        assert error.kind == "conflict"
        assert error.data["circle"] == [f"job {child}", "lock delayed", f"job {parent}", "the end of jobs", f"job {child}"]
        inside.call("lock.release", lease=lease)
        assert inside.wait(child)[0]["outcome"] == "succeeded"
    client.call("job.cancel", ids=[parent], force=True)
    client.wait(parent)


def test_a_call_of_a_job_that_has_ended_waits_no_more(daemon, client):
    """Whatever it got would be the job's, and nobody's."""
    job = client.submit(command=["sleep", "60"], retry={"max": 1, "delay": 0})
    attempt = client.until_state(job, "running", "running")["attempt"]
    held = client.call("lock.acquire", name="ended")
    with daemon.connect() as inside:
        inside.call("job.enter", job=job, attempt=attempt)
        waits = inside.post("lock.acquire", name="ended")
        until(lambda: lock(client, "ended")["waiting"] == 1)
        client.call("job.cancel", ids=[job], force=True)
        client.wait(job)
        with pytest.raises(RpcError) as refused:
            inside.answer(waits)
        assert refused.value.kind == "conflict"
        assert f"job {job}" in str(refused.value)
        assert lock(client, "ended")["waiting"] == 0
        client.call("lock.release", lease=held["lease"])
        until(lambda: lock(client, "ended") is None)


def test_leases_over_a_restart(start):
    daemon = start(process__slots=2, lease__reclaim=2)
    client = daemon.connect()
    kept = client.call("lock.acquire", name="kept")
    gone = client.call("lock.acquire", name="gone")
    client.call("semaphore.set", name="s", permits=2)
    client.call("semaphore.acquire", name="s", permits=2)
    job = client.submit(command=["sleep", "60"], locks=["job"])
    client.until_state(job, "running", "running")
    queued = client.submit(task="echo", args=1, locks=["job"])
    daemon.restart()
    client = daemon.connect()
    assert client.error("lock.acquire", name="kept", timeout=0).kind == "timed_out"
    assert client.error("lease.resume", lease=kept["lease"], token=kept["token"] + 1).kind == "permission_denied"
    assert client.call("lease.resume", **kept) == kept
    with daemon.connect() as other:
        assert other.error("lease.resume", **kept).kind == "conflict"
        waits = other.post("lock.acquire", name="gone")
        assert other.answer(waits)["token"] > gone["token"], "once nobody has resumed it in time"
        assert semaphore(client, "s") == {"name": "s", "permits": 2, "used": 0, "holders": [], "waiting": 0, "waiters": []}
        assert lock(client, "kept")["holders"][0]["lease"] == kept["lease"]
    assert client.error("lease.resume", **gone).kind == "not_found"
    assert client.error("lease.resume", lease=gone["lease"], token=gone["token"] + 1).kind == "not_found"
    assert why(client, queued) == [{"kind": "lock", "name": "job", "ahead": 0}]
    client.call("job.cancel", ids=[job])
    assert client.wait(queued)[0]["outcome"] == "succeeded"
    client.call("lock.release", lease=kept["lease"])


def test_account(client, tmp_path):
    """The race, and the lock that ends it."""
    account = tmp_path / "account"
    withdraw = f"balance=$(cat {account}); sleep 0.1; if [ $balance -ge 800 ]; then echo $((balance - 800)) > {account}; " \
               f"else echo not enough money; fi"
    account.write_text("1000")
    racing = [client.submit(shell=withdraw) for _ in range(2)]
    records = client.wait(*racing)
    assert {client.output(one) for one in racing} == {b""}, "both have read 1000"
    account.write_text("1000")
    locked = [client.submit(shell=withdraw, locks=["account"]) for _ in range(2)]
    client.wait(*locked)
    assert account.read_text().strip() == "200"
    assert client.output(locked[1]) == b"not enough money\n" and records


def test_a_large_request_is_not_starved(client):
    client.call("semaphore.set", name="gpu", permits=4)
    first = client.call("job.submit_many", template={"task": "sleep", "executor": "coroutine", "semaphores": {"gpu": 1}},
                        items=[{"seconds": 0.01 * (1 + number % 3)} for number in range(30)])
    large = client.submit(task="echo", args=1, executor="coroutine", semaphores={"gpu": 4})
    client.call("job.submit_many", template={"task": "sleep", "executor": "coroutine", "semaphores": {"gpu": 1}},
                items=[{"seconds": 0.01 * (1 + number % 3)} for number in range(300)], group="late")
    record = client.wait(large)[0]
    late = client.results(group="late")
    before = sum(1 for one in late if one["started_at"] < record["started_at"])
    assert before <= 110, f"{before} have passed it"
    assert len(client.results(group=first["group"])) == 30
