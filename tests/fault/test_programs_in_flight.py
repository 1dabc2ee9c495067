"""Programs that run while the daemon is killed, told to detach or replaced: every exit code and every byte of output right.

Also what must hold while no daemon is there: a timeout, and a runner that is stopped is waited for, not declared dead.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from account import assert_ran_once, long_or_short, noting, runs_noted
from harness import BIN, alive, freeze, runner_of, seconds, until

PROGRAMS = 100
PATTERN_BYTES = 400_000


class Flight:
    """Programs with known outputs and codes, which go on over a few seconds."""

    def __init__(self, daemon, chance, count=PROGRAMS, pause=1.5):
        self.ran = daemon.home / "ran"
        self.pattern = chance.randbytes(PATTERN_BYTES)
        self.source = daemon.home / "pattern"
        self.source.write_bytes(self.pattern)
        self.expected = {}
        self.chance = chance
        self.pause = pause
        client = daemon.connect()
        drawn = [self._draw() for _ in range(count)]
        first = client.call("job.submit_many", jobs=[job for job, _ in drawn], group="flight")["first"]
        self.expected = {first + place: expected for place, (_, expected) in enumerate(drawn)}
        until(lambda: len(runs_noted(self.ran)) == count, 30, "the start of all programs")

    def _draw(self):
        """Four pieces to either stream with pauses between; a third of them is above what travels with the result."""
        written = {1: b"", 2: b""}
        script = ""
        for _ in range(4):
            size = self.chance.choice([0, self.chance.randint(1, 200), self.chance.randint(1, 70_000)])
            start = self.chance.randint(0, PATTERN_BYTES - size)
            stream = self.chance.choice([1, 2])
            written[stream] += self.pattern[start : start + size]
            script += f"sleep {self.chance.uniform(0, 2 * self.pause):.2f}\n"
            script += f"tail -c +{start + 1} {shlex.quote(str(self.source))} | head -c {size} >&{stream}\n"
        code = self.chance.randint(0, 120)
        # tail ends by SIGPIPE, silently, where head has what it wants.
        return {"shell": noting(self.ran, f"{script}exit {code}")}, {"out": written[1], "err": written[2], "code": code}

    def pids(self, client):
        """Of those that still run."""

        def all_begun():
            jobs = client.call("job.list", group="flight", state="running", limit=1000)["jobs"]
            return jobs if all("pid" in job for job in jobs) else None

        return {job["id"]: job["pid"] for job in until(all_begun, 30, "the programs to begin")}

    def check(self, client):
        for record in client.wait(*self.expected, timeout=60):
            expected = self.expected[record["id"]]
            assert record.get("exit_code") == expected["code"], record
            assert record["attempt"] == 1
            for of, text in (("stdout", expected["out"]), ("stderr", expected["err"])):
                assert record[of] == {"bytes": len(text), "truncated": False}, record
                assert client.output(record["id"], of=of) == text, f"{of} of {record}"
        assert_ran_once(self.ran)
        assert len(runs_noted(self.ran)) == len(self.expected)


def test_kill_and_restart_again_and_again(start, chance):
    daemon = start(process__slots=PROGRAMS)
    flight = Flight(daemon, chance)
    for _ in range(long_or_short(40, 10)):
        daemon.restart()
    flight.check(daemon.connect())


@pytest.mark.parametrize("way", ["shutdown", "signal"])
def test_detach(start, chance, way):
    daemon = start(process__slots=20, daemon__on_stop="detach")
    flight = Flight(daemon, chance, count=20)
    for _ in range(3):
        if way == "shutdown":
            daemon.connect().call("daemon.shutdown", jobs="detach")
        else:
            daemon.process.send_signal(signal.SIGTERM)
        assert daemon.exit_code() == 0, daemon.log.read_text()
        assert not daemon.socket.exists()
        daemon.launch()
        daemon.until_serving()
    flight.check(daemon.connect())


@pytest.fixture
def builds():
    """Two builds of a daemon's programs, gone after the daemon of the test (hence before `start` in the list).

    The second is the same code in other bytes: rebuilt without what debuggers want.
    """
    with tempfile.TemporaryDirectory(prefix="stint-test-") as folder:
        both = [Path(folder) / name for name in ("first", "second")]
        for one in both:
            one.mkdir()
            for name in ("stintd", "stint-worker"):
                shutil.copy2(BIN / name, one / name)
        if shutil.which("strip"):
            for name in ("stintd", "stint-worker"):
                subprocess.run(["strip", both[1] / name], check=True)
                assert (both[1] / name).stat().st_size < (both[0] / name).stat().st_size
        yield both


def test_upgrade(builds, start, chance):
    """Another build takes over while the first one's files are gone from the disk."""
    first, second = builds
    daemon = start(process__slots=20, binaries=first)
    flight = Flight(daemon, chance, count=20)
    shutil.rmtree(first)
    daemon.binaries = second
    daemon.restart()
    client = daemon.connect()
    assert client.run(command=["echo", "new"])["stdout"]["data"] == "new\n"
    flight.check(client)


def test_all_ends_while_no_daemon_is_there(start, chance):
    daemon = start(process__slots=20)
    flight = Flight(daemon, chance, count=20, pause=0.5)
    client = daemon.connect()
    pids = flight.pids(client)
    daemon.kill()
    until(lambda: not any(alive(pid) for pid in pids.values()), 30, "the end of the programs")
    until(lambda: not daemon.worker_pids(), 30, "the end of the runners, which have nothing left to do")
    daemon.launch()
    daemon.until_serving()
    flight.check(daemon.connect())


def test_what_ended_while_no_daemon_was_there_counts_in_the_order_of_its_end(start):
    """On three runners, each of which tells of its own."""
    daemon = start(process__slots=9, process__runners=3)
    client = daemon.connect()
    until(lambda: len(daemon.worker_pids()) == 3 or client.run(command=["true"]) and False, 20, "the runners")
    jobs = [client.submit(shell=f"sleep {1.5 - 0.15 * place:.2f}; exit {place}") for place in range(9)]
    pids = [client.until_state(job, "running", "running")["pid"] for job in jobs]
    assert len({runner_of(pid) for pid in pids}) == 3
    daemon.kill()
    until(lambda: not any(alive(pid) for pid in pids), 30, "the end of the programs")
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    records = client.wait(*jobs)
    assert [record["exit_code"] for record in records] == list(range(9))
    by_end = [record["id"] for record in sorted(records, key=lambda record: record["finished_at"])]
    assert [record["id"] for record in sorted(records, key=lambda record: record["seq"])] == by_end
    assert [record["id"] for record in client.results(ids=jobs)] == by_end


def test_timeout_while_no_daemon_is_there(start):
    daemon = start(process__slots=4)
    client = daemon.connect()
    polite = client.submit(shell="sleep 300", timeout=1)
    stubborn = client.submit(shell="trap '' TERM; echo up; sleep 300 & wait; wait; sleep 300", timeout=1, grace=0.5)
    client.until_output(stubborn, "up")
    pids = [client.until_state(job, "running", "running")["pid"] for job in (polite, stubborn)]
    daemon.kill()
    until(lambda: not any(alive(pid) for pid in pids), 10, "the timeout")
    served = time.time()
    daemon.launch()
    daemon.until_serving()
    for record in daemon.connect().wait(polite, stubborn):
        assert record["outcome"] == "timed_out", record
        assert "started_at" in record, f"nobody knows when it began: {record}"
        assert 1 <= record["duration"] < seconds(4), record
        assert record["finished_at"] < served + seconds(0.5), record  # its runner may note the end a little later than we see it


def test_timeout_goes_on_over_a_restart(start):
    daemon = start(process__slots=4)
    client = daemon.connect()
    job = client.submit(shell="sleep 300", timeout=2)
    pid = client.until_state(job, "running", "running")["pid"]
    daemon.restart()
    assert alive(pid)
    (record,) = daemon.connect().wait(job)
    assert record["outcome"] == "timed_out" and 2 <= record["duration"] < seconds(4), record


def test_control_after_a_restart(start):
    """What was taken over can be followed, fed, signalled and cancelled like what was started here."""
    daemon = start(process__slots=4)
    client = daemon.connect()
    cat = client.submit(command=["cat"], stdin="stream")
    client.call("job.input", id=cat, data="before\n")
    client.until_output(cat, "before")
    trap = client.submit(shell="trap 'echo hup; exit 5' HUP; echo up; while :; do sleep 0.05; done")
    client.until_output(trap, "up")
    victim = client.submit(command=["sleep", "300"])
    pid = client.until_state(victim, "running", "running")["pid"]
    daemon.restart()
    client = daemon.connect()
    client.call("job.input", id=cat, data="after\n", end=True)
    client.call("job.signal", id=trap, signal="HUP")
    client.call("job.cancel", ids=[victim])
    records = client.wait(cat, trap, victim)
    assert [record["outcome"] for record in records] == ["succeeded", "failed", "cancelled"]
    assert client.output(cat) == b"before\nafter\n"
    assert (records[1]["exit_code"], client.output(trap)) == (5, b"up\nhup\n")
    assert not alive(pid)


def test_cancel_before_the_kill_holds(start):
    """A cancel that was answered before the kill is a cancel after it."""
    daemon = start(process__slots=4, daemon__on_stop="cancel")
    client = daemon.connect()
    job = client.submit(shell="trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", grace=30)
    client.until_output(job, "up")
    stubborn = client.submit(shell="trap 'echo no' TERM; echo up; while :; do sleep 0.05; done", grace=1)
    client.until_output(stubborn, "up")
    client.call("job.cancel", ids=[job, stubborn])
    daemon.restart()
    for record in daemon.connect().wait(job, stubborn):
        assert record["outcome"] == "cancelled", record


def test_not_durable_programs_die_with_the_daemon(start):
    daemon = start(process__slots=4)
    client = daemon.connect()
    kept = client.submit(command=["sleep", "300"])
    gone = client.submit(command=["sleep", "300"], durable=False)
    pids = [client.until_state(job, "running", "running")["pid"] for job in (kept, gone)]
    daemon.kill()
    until(lambda: not alive(pids[1]), 10, "the end of the program that is not durable")
    assert alive(pids[0])
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    assert client.until_state(kept, "running", "running")["pid"] == pids[0]
    assert client.error("job.get", id=gone).kind in ("not_found", "purged")


@pytest.mark.parametrize("restart", [True, False])
def test_a_stopped_runner_is_waited_for(start, restart):
    daemon = start(process__slots=4, process__runners=2)
    client = daemon.connect()
    ran = daemon.home / "ran"
    gates = [daemon.home / f"gate{i}" for i in range(2)]
    for gate in gates:
        os.mkfifo(gate)
    jobs = [client.submit(shell=noting(ran, f"echo up; read line <{gate}; echo $line; exit 9")) for gate in gates]
    pids = {job: client.until_state(job, "running", "running")["pid"] for job in jobs}
    for job in jobs:
        client.until_output(job, "up")
    stopped = runner_of(pids[jobs[0]])
    freeze(stopped)
    let_it_look_old(daemon, stopped)
    try:
        if restart:
            daemon.restart()
            client = daemon.connect()
        hers = [job for job in jobs if runner_of(pids[job]) == stopped]
        # What the silent runner has is neither lost nor begun again; where it is known to be silent, new work begins elsewhere.
        for _ in range(5 if restart else 0):
            assert client.run(command=["echo", "on"], timeout=seconds(10))["stdout"]["data"] == "on\n"
        asked = client.post("job.output", id=jobs[0])
        pending = client.call("job.wait", ids=hers, timeout=seconds(2))
        assert pending["pending"] == hers, pending
        assert all(alive(pid) for pid in pids.values())
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert client.answer(asked)["data"] == "up\n", "it could not be known whether the program had begun, let alone what it had written"
    for gate, job in zip(gates, jobs):
        until(lambda gate=gate, job=job: let_go(gate, pids[job]), 10, "the end of the programs")
    for record in client.wait(*jobs):
        assert (record["exit_code"], client.output(record["id"])) == (9, b"up\ngo\n"), record
    assert_ran_once(ran)


def let_it_look_old(daemon, runner):
    """As if it had been stopped for an hour, to whoever goes by when it last touched its files."""
    hour_ago = time.time() - 3600
    mine = [lock.parent for lock in daemon.state.glob("workers/*/lock") if lock.read_text().split("\n")[0] == str(runner)]
    assert mine, "no folder of the stopped runner"
    for path in [*mine[0].iterdir(), mine[0]]:
        os.utime(path, (hour_ago, hour_ago))


def let_go(gate, pid):
    if alive(pid):
        with contextlib.suppress(OSError):
            file = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
            os.write(file, b"go\n")
            os.close(file)
    return not alive(pid)
