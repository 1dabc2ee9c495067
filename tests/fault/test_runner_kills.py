"""kill -9 of a runner, alone and together with the daemon: `lost`, the tree gone, nothing run twice, the rest goes on."""

import os
import resource
import signal

import pytest
from account import assert_ran_once, noting, runs_noted
from harness import alive, command_line, freeze, parent, process_name, runner_of, until

SLOTS = 6


class Victims:
    """Programs with strays on both runners, and more that wait in the queue for their slots."""

    def __init__(self, daemon, client):
        # Both runners must be up, or the first one gets everything.
        until(lambda: len(daemon.worker_pids()) == 2, 20, "the runners")
        client.run(command=["true"])
        self.ran = daemon.home / "ran"
        self.strays = daemon.home / "strays"
        stray = f"sh -c 'setsid sh -c \"echo \\$\\$ >>{self.strays}; exec sleep 300\" & exit' &"
        self.jobs = [client.submit(shell=noting(self.ran, f"{stray} sleep 300; exit 0")) for _ in range(SLOTS)]
        self.pids = {job: client.until_state(job, "running", "running")["pid"] for job in self.jobs}
        until(lambda: len(self.stray_pids()) == SLOTS, 20, "the strays")
        self.queued = [client.submit(shell=noting(self.ran, "exit 3")) for _ in range(4)]
        self.runner = runner_of(self.pids[self.jobs[0]])
        self.hit = [job for job in self.jobs if runner_of(self.pids[job]) == self.runner]
        self.rest = [job for job in self.jobs if job not in self.hit]
        self.trees = {job: self.tree(job) for job in self.jobs}
        assert self.rest, "all programs are on one runner: nothing to compare with"

    def stray_pids(self):
        return [int(word) for word in self.strays.read_text().split()] if self.strays.exists() else []

    def tree(self, job):
        marker = f"STINT_JOB_ID={job}\0".encode()
        found = []
        for entry in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environment = file.read()
            except OSError:
                continue
            if marker in environment and str(self.ran.parent).encode() in environment:
                found.append(entry)
        assert len(found) >= 3 and self.pids[job] in found, [command_line(pid) for pid in found]
        return found

    def assert_lost(self, client, jobs):
        for record in client.wait(*jobs):
            # Checked at once: permits come back, and `lost` is said, when the tree is gone and not before.
            left = [command_line(pid) for pid in self.trees[record["id"]] if alive(pid)]
            assert record["outcome"] == "lost" and record["error"]["kind"] == "lost", record
            assert "exit_code" not in record and record["attempt"] == 1, record
            assert not left, f"still there: {left}"

    def assert_rest_goes_on(self, client):
        for job in self.rest:
            assert client.call("job.get", id=job)["state"] == "running"
            assert all(alive(pid) for pid in self.trees[job])
        for record in client.wait(*self.queued):
            assert record["exit_code"] == 3, record
        assert_ran_once(self.ran)
        assert {job for job, _ in runs_noted(self.ran)} == {*self.jobs, *self.queued}


def test_runner(start):
    daemon = start(process__slots=SLOTS, process__runners=2)
    client = daemon.connect()
    victims = Victims(daemon, client)
    os.kill(victims.runner, signal.SIGKILL)
    victims.assert_lost(client, victims.hit)
    victims.assert_rest_goes_on(client)
    daemon.restart()
    client = daemon.connect()
    victims.assert_lost(client, victims.hit)
    victims.assert_rest_goes_on(client)


def test_runner_after_the_zygote(start):
    """The zygote is killed as soon as it is there, so that the next one is a second late; deaths of runners are seen all the same."""
    daemon = start(process__slots=2, process__runners=1)
    client = daemon.connect()
    job = client.submit(command=["sleep", "300"])
    pid = client.until_state(job, "running", "running")["pid"]
    (zygote,) = daemon.workers("zygote")
    os.kill(zygote, signal.SIGKILL)
    until(lambda: daemon.workers("zygote") not in ([], [zygote]), 20, "the next zygote")
    os.kill(runner_of(pid), signal.SIGKILL)
    assert client.wait(job)[0]["outcome"] == "lost"
    assert not alive(pid)
    assert client.run(command=["true"])["outcome"] == "succeeded"


def test_a_limit_of_the_size_of_files_ends_no_runner(start):
    """One program's output is cut off there, as on a full disk; those beside it never notice."""
    daemon = start(process__slots=2, process__runners=1)
    client = daemon.connect()
    beside = client.submit(shell="sleep 1; exit 4")
    runner = runner_of(client.until_state(beside, "running", "running")["pid"])
    resource.prlimit(runner, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    large = client.submit(shell="head -c 3000000 /dev/zero; exit 3")
    records = client.wait(large, beside)
    assert [record["exit_code"] for record in records] == [3, 4], records
    assert records[0]["stdout"] == {"bytes": 3_000_000, "truncated": True}
    assert len(client.output(large)) <= 1_000_000
    assert alive(runner)


@pytest.mark.parametrize("order", ["runner-daemon", "daemon-runner", "frozen"])
def test_runner_and_daemon(start, order):
    daemon = start(process__slots=SLOTS, process__runners=2)
    victims = Victims(daemon, daemon.connect())
    if order == "frozen":  # the daemon cannot take note of the runner's death
        freeze(daemon.pid)
    if order == "daemon-runner":
        daemon.kill()
    os.kill(victims.runner, signal.SIGKILL)
    daemon.restart()
    client = daemon.connect()
    victims.assert_lost(client, victims.hit)
    victims.assert_rest_goes_on(client)


def test_all_runners_and_the_daemon(start):
    """Strays then hang on nobody: the next start finds them by their marks."""
    daemon = start(process__slots=SLOTS, process__runners=2)
    victims = Victims(daemon, daemon.connect())
    runners = daemon.worker_pids()
    assert len(runners) == 2
    daemon.kill()
    for runner in runners:
        os.kill(runner, signal.SIGKILL)
    until(lambda: not any(process_name(parent(pid)).startswith("stint") for pid in victims.stray_pids()), 10, "orphans")
    victims.rest = []
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    victims.assert_lost(client, victims.jobs)
    victims.assert_rest_goes_on(client)


@pytest.mark.parametrize("killed", [False, True])
def test_an_end_that_no_daemon_saw_counts(start, killed):
    """It stands in the runner's file, and no death of the runner takes it back."""
    daemon = start(process__slots=4, process__runners=2)
    client = daemon.connect()
    ran, gate = daemon.home / "ran", daemon.home / "gate"
    ending = client.submit(shell=noting(ran, f"while [ ! -e {gate} ]; do sleep 0.02; done; echo out; echo err >&2; exit 7"))
    jobs = [ending, *(client.submit(shell=noting(ran, "sleep 300")) for _ in range(3))]
    pids = {job: client.until_state(job, "running", "running")["pid"] for job in jobs}
    runner = runner_of(pids[ending])
    hit = [job for job in jobs[1:] if runner_of(pids[job]) == runner]
    assert hit, "the runner has nothing that keeps it alive"
    daemon.kill()
    gate.touch()
    until(lambda: not alive(pids[ending]), 10, "the end")
    if killed:
        # A zombie is reaped only when its end has been written down.
        until(lambda: not os.path.exists(f"/proc/{pids[ending]}"), 10, "the runner's note of the end")
        until(lambda: b"\x02\x00" in slot_states(daemon), 10, "the end in the runner's file")
        os.kill(runner, signal.SIGKILL)
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    (record,) = client.wait(ending)
    assert (record["outcome"], record["exit_code"]) == ("failed", 7), record
    assert (client.output(ending), client.output(ending, of="stderr")) == (b"out\n", b"err\n")
    if killed:
        assert {record["outcome"] for record in client.wait(*hit)} == {"lost"}
    assert_ran_once(ran)


class Writers:
    """Programs that have run for a while and have written: little and early, little and late, much, past their limit."""

    SCRIPTS = {
        "little": ("printf early; printf err >&2", {}, b"early"),
        "late": ("sleep 1.2; printf late", {}, b"late"),
        "much": ("seq 1 20000", {}, b"".join(b"%d\n" % n for n in range(1, 20_001))),
        # Numbers of six bytes: the head is the first thousand bytes, the tail the last.
        "past": ("seq -f %05.0f 0 9999", {"output_limit": 2_000}, None),
        "silent": ("true", {}, b""),
    }

    def __init__(self, daemon, client):
        self.gate = daemon.home / "gate"
        self.jobs = {
            name: client.submit(shell=f"{script}; while [ ! -e {self.gate} ]; do sleep 0.05; done; printf x", **more)
            for name, (script, more, _) in self.SCRIPTS.items()
        }
        self.pids = {name: client.until_state(job, "running", "running")["pid"] for name, job in self.jobs.items()}
        out = daemon.state / "out"
        expected = {out / f"{job}.1.stdout" for name, job in self.jobs.items() if name != "silent"}
        until(lambda: all(path.exists() and path.stat().st_size for path in expected), 10, "the outputs on disk")
        client.until_output(self.jobs["late"], "late")

    def check(self, client, tail=b""):
        for name, (_, _, text) in self.SCRIPTS.items():
            output = client.output(self.jobs[name])
            if name == "past":
                whole = b"".join(b"%05d\n" % n for n in range(10_000)) + tail
                assert output == whole[:1_000] + whole[-1_000:], output
            else:
                assert output == text + tail, (name, output[-100:])
        assert client.output(self.jobs["little"], of="stderr") == b"err"


@pytest.mark.parametrize("daemon_too", [False, True])
def test_what_a_lost_job_had_written_is_shown(start, daemon_too):
    """Little output lies on disk, too, once its program has run for a second."""
    daemon = start(process__slots=8, process__runners=2)
    client = daemon.connect()
    writers = Writers(daemon, client)
    # The pipe's last bytes have been read when the slot file counts them.
    until(lambda: noted_bytes(daemon, writers.jobs["past"]) == 60_000, 10, "the size in the slot file")
    runners = {runner_of(pid) for pid in writers.pids.values()}
    if daemon_too:
        daemon.kill()
    for runner in runners:
        os.kill(runner, signal.SIGKILL)
    if daemon_too:
        daemon.launch()
        daemon.until_serving()
        client = daemon.connect()
    for record in client.wait(*writers.jobs.values()):
        assert record["outcome"] == "lost", record
        if record["id"] == writers.jobs["past"]:
            assert record["stdout"] == {"bytes": 60_000, "truncated": True}, record
        elif record["id"] != writers.jobs["silent"]:
            assert record["stdout"]["bytes"] == len(client.output(record["id"])) and not record["stdout"]["truncated"], record
    writers.check(client)


@pytest.mark.parametrize("restarts", [0, 2])
def test_written_out_and_each_byte_once(start, restarts):
    """The result has all of it once, whatever lay on disk meanwhile, and little output is not left there."""
    daemon = start(process__slots=8, process__runners=2)
    client = daemon.connect()
    writers = Writers(daemon, client)
    for _ in range(restarts):
        daemon.restart()
        client = daemon.connect()
    for job in writers.jobs.values():
        client.call("job.output", id=job)  # answered when its runner is taken over: what ends before goes to the disk, and stays there
    writers.gate.touch()
    for record in client.wait(*writers.jobs.values()):
        assert record["outcome"] == "succeeded", record
    writers.check(client, tail=b"x")
    left = {path.name for path in (daemon.state / "out").iterdir()}
    assert left == {f"{writers.jobs['much']}.1.stdout"}, left
    whole = {record["id"]: record for record in client.results(ids=list(writers.jobs.values()), output=True)}
    assert whole[writers.jobs["late"]]["stdout"]["data"] == "latex"


def test_output_that_no_record_names_goes_at_the_next_start(start):
    daemon = start(process__slots=4)
    client = daemon.connect()
    large = "head -c 100000 /dev/zero"
    kept = client.run(shell=large)["id"]
    small = client.run(command=["echo", "x"])["id"]
    running = client.submit(shell=f"{large}; sleep 300")
    fleeting = client.submit(shell=f"{large}; sleep 300", durable=False)
    out = daemon.state / "out"

    def stdout_of(job):
        return out / f"{job}.1.stdout"

    until(lambda: all(stdout_of(job).exists() for job in (running, fleeting)), 10, "the outputs on disk")
    daemon.kill_everything()
    stdout_of(small).write_text("x\n")  # a copy of what travelled with the result
    (out / f"{kept}.1.stderr.tail").write_text("no such stream is kept")
    stays = [out / "notes", out / "17.stdout", out / f"{1 << 40}.1.stdout"]
    for path in stays:
        path.write_text("not ours, or not older than the next daemon")
    daemon.launch()
    daemon.until_serving()
    until(lambda: not stdout_of(fleeting).exists() and not stdout_of(small).exists(), 10, "the end of what nobody names")
    until(lambda: not (out / f"{kept}.1.stderr.tail").exists(), 10, "the end of what nobody names")
    client = daemon.connect()
    assert client.wait(running)[0]["outcome"] == "lost"
    assert client.output(kept) == client.output(running) == bytes(100_000)
    assert client.output(small) == b"x\n"
    assert all(path.exists() for path in stays)


def noted_bytes(daemon, job):
    """The size of standard output in a job's slot record: 8 bytes at offset 80; its id stands at 24."""
    for path in daemon.state.glob("workers/*/slots"):
        data = path.read_bytes()
        for start in range(0, len(data), 128):
            if int.from_bytes(data[start + 24 : start + 32], "little") == job:
                return int.from_bytes(data[start + 80 : start + 88], "little")
    return None


def slot_states(daemon):
    """The state of each record in all slot files: two bytes at offset 6 of 128."""
    found = []
    for path in daemon.state.glob("workers/*/slots"):
        data = path.read_bytes()
        found += [data[start + 6 : start + 8] for start in range(0, len(data), 128)]
    return found
