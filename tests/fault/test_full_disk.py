"""A small tmpfs as state directory, full and free again.

While it is full new work is refused with the reason, what runs ends on record, reads work; when there is room again all goes
on by itself, and nothing that was acknowledged is missing.
"""

import contextlib
import errno
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from account import assert_ran_once, noting, runs_noted
from harness import RpcError, freeze, runner_of, seconds, until
from mount import small_tmpfs


@pytest.fixture
def state(request):
    """A small tmpfs, of the size (and with the options of mount) that the test is given."""
    folder = Path(tempfile.mkdtemp(prefix="stint-test-"))
    try:
        with small_tmpfs(folder / "state", getattr(request, "param", "24m")) as place:
            yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Filler:
    """A file that takes all the room there is."""

    def __init__(self, state):
        self.path = state / "filler"

    def fill(self):
        with open(self.path, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def free(self):
        self.path.unlink()


def until_refused(client, filler):
    """The log's own room lasts for a while; returns what was taken meanwhile and the refusal."""
    taken = []

    def refused():
        filler.fill()
        try:
            for _ in range(100):
                taken.append(client.submit(command=["true"], env={"PADDING": "x" * 20_000}))
        except RpcError as error:
            return error
        return None

    return taken, until(refused, 60, "a refusal")


def until_taken(client):
    """By itself, soon after there is room: returns the id of the first job that is taken."""

    def taken():
        try:
            return client.submit(command=["echo", "room"])
        except RpcError as error:
            assert error.kind == "unavailable", error
            return None

    return until(taken, 20, "the store to go on")


def test_locks_while_it_is_full(state, start):
    """A lease is new work: a call for one is answered, with it or with the reason, and holds nothing up afterwards."""
    daemon = start(process__slots=2, state=state)
    client = daemon.connect()
    held = client.call("lock.acquire", name="held")
    waiter = daemon.connect()
    waits = waiter.post("lock.acquire", name="held")
    until(lambda: client.call("lock.list")["locks"][0]["waiting"] == 1)
    filler = Filler(state)
    until_refused(client, filler)
    refused = []

    def refused_lock():
        filler.fill()
        for _ in range(50):
            number = client.post("lock.acquire", name="n" * 200 + str(len(refused)))
            refused.append(None)
            try:
                client.answer(number, timeout=5)
            except RpcError as error:
                return error
        return None

    error = until(refused_lock, 60, "a lease to be refused")
    assert error.kind == "unavailable" and error.data["reason"], error
    client.call("lock.release", lease=held["lease"])
    try:
        lease = waiter.answer(waits, timeout=5)
        assert lease["token"] > held["token"]
    except RpcError as told:
        assert told.kind == "unavailable", told
    filler.free()
    until_taken(client)
    with daemon.connect() as other:
        assert other.call("lock.acquire", name="afterwards", timeout=seconds(5))["token"] > held["token"]


def test_reads_while_others_are_refused(state, start):
    """What a read tells of is there: whether somebody else's work is refused at that moment is not its matter."""
    daemon = start(process__slots=2, state=state)
    client = daemon.connect()
    job = client.run(command=["echo", "before"])["id"]
    until_refused(client, Filler(state))
    done = threading.Event()
    refused = []

    def submits():
        with daemon.connect() as other:
            while not done.is_set():
                try:
                    other.submit(command=["true"], env={"PADDING": "x" * 20_000})
                except RpcError as error:
                    refused.append(error.kind)

    submitters = [threading.Thread(target=submits) for _ in range(3)]
    for each in submitters:
        each.start()
    try:
        until(lambda: refused)
        for _ in range(100):
            assert client.call("job.get", id=job)["state"] == "finished"
            assert client.call("job.list", limit=1)["jobs"][0]["id"] == job
            assert client.call("lock.list") == {"locks": []}
    finally:
        done.set()
        for each in submitters:
            each.join()
    assert set(refused) == {"unavailable"} and len(refused) > 50, len(refused)


NEW_NAMES = {
    "channel.open": {"capacity": 1, "durable": True},
    "event.set": {},
    "semaphore.set": {"permits": 1},
}


@pytest.mark.parametrize("method", NEW_NAMES)
def test_new_names_leave_room_for_ends(state, start, method):
    """Whoever makes things under ever new names is refused; the reserve is there for what ends."""
    daemon = start(process__slots=2, state=state)
    client = daemon.connect()
    gate = daemon.home / "gate"
    running = client.submit(shell=f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 6")
    client.until_state(running, "running", "running")
    filler = Filler(state)
    until_refused(client, filler)
    made = []
    for number in range(6_000):
        if number % 500 == 0:
            filler.fill()
        name = str(number) + "n" * 200
        try:
            client.call(method, name=name, **NEW_NAMES[method])
            made.append(name)
        except RpcError as error:
            assert error.kind == "unavailable" and error.data["reason"], error
    assert len(made) < 3_000
    gate.touch()
    assert client.wait(running, timeout=seconds(20))[0]["exit_code"] == 6
    (rows,) = client.call(method.split(".")[0] + ".list").values()
    assert sorted(row["name"] for row in rows) == sorted(made)
    daemon.restart()
    (rows,) = daemon.connect().call(method.split(".")[0] + ".list").values()
    assert sorted(row["name"] for row in rows) == sorted(made)
    filler.free()
    until_taken(daemon.connect())


def test_full_and_free_again(state, start):
    daemon = start(process__slots=8, state=state)
    client = daemon.connect()
    ran, gate = daemon.home / "ran", daemon.home / "gate"
    before = client.run(command=["echo", "before"])
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    running = [client.submit(shell=noting(ran, f"{wait}; echo out; exit 6")) for _ in range(8)]
    for job in running:
        client.until_state(job, "running", "running")
    filler = Filler(state)
    for times in range(2):
        taken, refusal = until_refused(client, filler)
        assert refusal.kind == "unavailable" and refusal.data["reason"], refusal
        assert refusal.data["retryable"]
        filler.fill()
        # Reads work.
        assert client.call("job.get", id=before["id"])["seq"] == before["seq"]
        assert client.call("job.list")["jobs"]
        assert client.call("daemon.stats")["store"]["refusing"] == refusal.data["reason"]
        assert client.output(before["id"]) == b"before\n"
        if times == 0:
            # What runs ends, on record. What is queued waits: a start has to be written down first.
            gate.touch()
            for record in client.wait(*running, timeout=60):
                assert record["exit_code"] == 6, record
        large = {"command": ["true"], "env": {"PADDING": "x" * 200_000}}
        refusals = [client.error(method, job=large) for method in ("job.submit", "job.run")]
        assert [error.kind for error in refusals] == ["unavailable"] * 2
        assert refusals[0].error == refusals[1].error, "both are told the same"
        filler.free()
        job = until_taken(client)
        assert "refusing" not in client.call("daemon.stats")["store"]
        for record in client.wait(job, *taken, timeout=60):
            assert record["outcome"] == "succeeded", record
    records = {record["id"]: record for record in client.wait(*running, *taken)}
    said = [line for line in daemon.log.read_text().splitlines() if " new work" in line]
    assert ["refuses" in line for line in said] == [True, False, True, False], said
    daemon.restart()
    client = daemon.connect()
    for number, record in records.items():
        assert client.call("job.get", id=number) == record
    assert client.output(running[0]) == b"out\n"
    assert_ran_once(ran)
    assert len(runs_noted(ran)) == len(running)


def test_killed_while_full(state, start):
    """A start on a full disk either works or says what is missing; with room again nothing is gone."""
    daemon = start(process__slots=4, state=state)
    client = daemon.connect()
    ran, gate = daemon.home / "ran", daemon.home / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    running = [client.submit(shell=noting(ran, f"{wait}; echo out; exit 6")) for _ in range(4)]
    for job in running:
        client.until_state(job, "running", "running")
    filler = Filler(state)
    taken, _ = until_refused(client, filler)
    filler.fill()
    daemon.kill()
    gate.touch()
    daemon.launch()

    def served_or_ended():
        return daemon.process.poll() is not None or os.path.exists(daemon.socket) and serves(daemon)

    until(served_or_ended, 20, "the start or its refusal")
    if daemon.process.poll() is not None:
        assert daemon.exit_code() == 1
        last = daemon.log.read_text().splitlines()[-1]
        assert "space" in last.lower() or "full" in last.lower(), last
        filler.free()
        daemon.launch()
        daemon.until_serving()
    else:
        filler.free()
    client = daemon.connect()
    for record in client.wait(*running, timeout=60):
        assert (record["exit_code"], client.output(record["id"])) == (6, b"out\n"), record
    for record in client.wait(*taken, timeout=60):
        assert record["outcome"] == "succeeded", record
    assert_ran_once(ran)
    assert client.wait(until_taken(client))[0]["outcome"] == "succeeded"


def serves(daemon):
    try:
        daemon.connect().close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("state", ["64m,nr_inodes=80"], indirect=True)
def test_runners_that_have_no_inodes_are_started_with_a_pause(state, start):
    """A few are enough for a folder and a lock, not for what a runner needs besides: it ends at once, again and again."""
    daemon = start(process__slots=2, state=state)
    client = daemon.connect()
    ended = 0
    for left in range(5):
        victim = client.submit(command=["sleep", "60"])
        runner = runner_of(client.until_state(victim, "running", "running")["pid"])
        fillers = take_all_inodes(state)
        os.kill(runner, signal.SIGKILL)
        assert client.wait(victim)[0]["outcome"] == "lost"
        waits = client.submit(command=["echo", "room"])
        daemon.kill()
        fillers += take_all_inodes(state)  # its folder's
        for path in fillers[:left]:
            path.unlink()
        logged = daemon.log.stat().st_size
        daemon.launch()
        daemon.until_serving()
        client = daemon.connect()
        time.sleep(1)
        with open(daemon.log) as log:
            log.seek(logged)
            attempts = len(re.findall("another runner takes its place|trying again", log.read()))
        assert attempts <= 8, f"{attempts} attempts in a second, with {left} inodes"
        ended += attempts
        for path in fillers[left:]:
            path.unlink()
        assert client.wait(waits)[0]["outcome"] == "succeeded"
    assert ended > 0


def take_all_inodes(state):
    taken = []
    with contextlib.suppress(OSError):
        while True:
            path = state / f"filler{time.monotonic_ns()}"
            path.touch()
            taken.append(path)
    return taken


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_begins_that_cannot_be_noted(state, start, killed):
    """A runner that has no room to note a program does not begin it: so a take-over would miss it. It does when there is."""
    slots = 33  # room for notes is had for 32 at a time
    daemon = start(process__slots=slots, process__runners=1, state=state)
    client = daemon.connect()
    ran = daemon.home / "ran"
    first = client.call("job.submit_many", jobs=[{"command": ["sleep", "300"]}] * (slots - 1))["first"]
    sleepers = range(first, first + slots - 1)
    runner = runner_of([client.until_state(job, "running", "running")["pid"] for job in sleepers][0])
    freeze(runner)
    filler = Filler(state)
    try:
        job = client.submit(shell=noting(ran, "echo begun; exit 4"))
        filler.fill()
    finally:
        os.kill(runner, signal.SIGCONT)
    (slot_file,) = state.glob("workers/*/slots")
    allocated = slot_file.stat().st_size
    # The runner has read its orders when it answers a question that came after them.
    assert client.call("job.output", id=sleepers[0])["data"] == ""
    assert client.call("job.get", id=job)["state"] != "finished" and not runs_noted(ran)
    assert slot_file.stat().st_size == allocated == (slots - 1) * 128
    if killed:  # what was never begun is found to be so
        daemon.kill()
        filler.free()
        daemon.launch()
        daemon.until_serving()
        client = daemon.connect()
    else:
        filler.free()
    (record,) = client.wait(job)
    assert (record["exit_code"], client.output(job)) == (4, b"begun\n"), record
    assert_ran_once(ran)


def test_large_outputs_on_a_full_disk(state, start):
    """What does not fit is cut and says so; the program is not held up and its end counts."""
    daemon = start(process__slots=2, state=state)
    client = daemon.connect()
    gate = daemon.home / "gate"
    job = client.submit(shell=f"while [ ! -e {gate} ]; do sleep 0.02; done; head -c 3000000 /dev/zero; exit 8")
    client.until_state(job, "running", "running")
    filler = Filler(state)
    filler.fill()
    gate.touch()
    (record,) = client.wait(job, timeout=seconds(30))
    assert record["exit_code"] == 8, record
    assert record["stdout"]["bytes"] == 3_000_000 and record["stdout"]["truncated"], record
    filler.free()
    job = until_taken(client)
    assert client.wait(job)[0]["outcome"] == "succeeded"
    assert client.run(shell="head -c 3000000 /dev/zero")["stdout"]["truncated"] is False


@pytest.mark.parametrize("state", ["2m", "4m", "8m"], indirect=True)
def test_a_small_file_system(state, start):
    """A fresh one is not a full one: the store takes a share of it, work goes on past that, and full and free again is as ever."""
    daemon = start(process__slots=4, state=state)
    client = daemon.connect()
    for turn in range(10):  # more than fits into the log, were it not emptied
        jobs = [client.submit(command=["true"], env={"PADDING": "x" * 10_000}) for _ in range(20)]
        assert {record["outcome"] for record in client.wait(*jobs)} == {"succeeded"}, turn
        client.call("job.forget", ids=jobs)
    filler = Filler(state)
    taken, refusal = until_refused(client, filler)
    assert refusal.kind == "unavailable" and "full" in refusal.data["reason"], refusal
    filler.free()
    client.wait(until_taken(client), *taken)


@pytest.mark.parametrize("state", ["4m"], indirect=True)
def test_too_little_room(state, start):
    """Where a store finds too little for its reserve the refusal says how much is wanted."""
    with open(state / "other", "wb") as other:
        os.posix_fallocate(other.fileno(), 0, 2_900_000)
    client = start(process__slots=4, state=state).connect()
    for method in ("job.submit", "job.run"):
        refusal = client.error(method, job={"command": ["true"]})
        assert refusal.kind == "unavailable" and "when 1024 KiB are free" in refusal.data["reason"], refusal
    os.unlink(state / "other")
    client.wait(until_taken(client))
