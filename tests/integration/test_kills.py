"""kill -9 of workers and of the daemon itself; trees and strays: nothing is left, the rest goes on."""

import os
import signal
import time

import pytest
from harness import alive, command_line, process_name, seconds, until

def stat_parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def worker_of(client, daemon, number):
    """The pid of the stint-worker process that runs the program of this job."""
    pid = client.until_state(number, "running", "running")["pid"]
    while pid > 1:
        parent = stat_parent(pid)
        if process_name(parent) == "stint-runner":
            return parent
        pid = parent
    raise AssertionError("no worker above the job")


def test_kill_of_a_runner(start):
    daemon = start(process__slots=4)
    client = daemon.connect()
    jobs = [client.submit(shell="sleep 300 & setsid -f sleep 300; sleep 300", group="hit") for _ in range(4)]
    pids = [client.until_state(job, "running", "running")["pid"] for job in jobs]
    victim = worker_of(client, daemon, jobs[0])
    hit = [job for job in jobs if worker_of(client, daemon, job) == victim]
    assert hit
    trees = {job: pid for job, pid in zip(jobs, pids)}
    os.kill(victim, signal.SIGKILL)
    for record in client.wait(*hit):
        assert record["outcome"] == "lost", record
        assert record["error"]["kind"] == "lost"
    for job in hit:
        until(lambda job=job: not alive(trees[job]), 10, "the end of a lost job's tree")
    for job in set(jobs) - set(hit):
        assert client.call("job.get", id=job)["state"] == "running"
    assert client.run(command=["echo", "next"])["stdout"]["data"] == "next\n", "it is replaced"
    assert all(client.run(command=["true"])["outcome"] == "succeeded" for _ in range(8))


def test_kill_of_every_runner(start):
    daemon = start(process__slots=4)
    client = daemon.connect()
    jobs = [client.submit(command=["sleep", "300"]) for _ in range(4)]
    queued = client.submit(command=["echo", "queued"])
    for victim in {worker_of(client, daemon, job) for job in jobs}:
        os.kill(victim, signal.SIGKILL)
    assert {record["outcome"] for record in client.wait(*jobs)} == {"lost"}
    assert client.wait(queued)[0]["outcome"] == "succeeded", "what never began is not lost"


def test_kill_of_a_host(start):
    daemon = start(process__hosts=1)
    client = daemon.connect()
    crashed = client.submit(task="sleep", args={"seconds": 300}, executor="process")
    client.until_state(crashed, "running", "running")
    waiting = client.submit(task="echo", args="next", executor="process")
    (host,) = daemon.workers("host")
    thread = client.submit(task="sleep", args={"seconds": 0.5}, executor="thread")
    os.kill(host, signal.SIGKILL)
    record = client.wait(crashed)[0]
    assert (record["outcome"], record["error"]["kind"]) == ("failed", "crashed")
    assert client.wait(waiting)[0]["result"] == "next"
    assert client.wait(thread)[0]["outcome"] == "succeeded"


def test_kill_of_all_workers_at_once(start):
    daemon = start(process__slots=4, process__hosts=1)
    client = daemon.connect()
    jobs = [client.submit(command=["sleep", "300"]) for _ in range(3)]
    jobs.append(client.submit(task="sleep", args={"seconds": 300}, executor="process"))
    for job in jobs:
        client.until_state(job, "running", "running")
    for pid in daemon.workers("zygote") + daemon.workers("runner") + daemon.workers("host"):
        os.kill(pid, signal.SIGKILL)
    outcomes = [record["outcome"] for record in client.wait(*jobs)]
    assert outcomes[:3] == ["lost"] * 3 and outcomes[3] == "failed"
    assert client.run(command=["echo", "again"])["stdout"]["data"] == "again\n"
    assert client.run(task="echo", args=1, executor="process")["result"] == 1


def test_kill_of_the_first_worker_alone(start):
    """The empty worker that starts the others: without it they must still be replaceable."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    client.run(command=["true"])
    (first,) = daemon.workers("zygote")
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first), 5)
    running = client.submit(command=["sleep", "300"])
    victim = worker_of(client, daemon, running)
    os.kill(victim, signal.SIGKILL)
    assert client.wait(running)[0]["outcome"] == "lost"
    assert client.run(command=["echo", "on"])["stdout"]["data"] == "on\n"


def test_cancel_takes_the_strays_of_that_job_only(start):
    daemon = start(process__slots=4, process__runners=1)
    client = daemon.connect()
    strays = []
    jobs = [client.submit(shell="setsid sh -c '(sleep 300 & echo $!) ; exec sleep 0.01'; echo ready; sleep 300", group="s") for _ in range(2)]
    for job in jobs:
        strays.append(int(client.until_output(job, "ready").split()[0]))
    assert all(alive(pid) for pid in strays)
    client.call("job.cancel", ids=[jobs[0]])
    assert client.wait(jobs[0])[0]["outcome"] == "cancelled"
    assert not alive(strays[0]), "the permit comes back when the tree is gone"
    assert alive(strays[1]), "a stray of another job on the same runner lives"
    client.call("job.cancel", ids=[jobs[1]])
    client.wait(jobs[1])
    assert not alive(strays[1])


def test_a_program_that_ignores_everything(start):
    daemon = start(process__slots=2)
    client = daemon.connect()
    note = daemon.home / "stray"
    text = (f"trap '' TERM; setsid sh -c \"trap '' TERM; sleep 300 & echo \\$! >{note}; while :; do sleep 1; done\" & "
            f"until [ -s {note} ]; do sleep 0.01; done; echo ready; while :; do sleep 1; done")
    job = client.submit(shell=text, grace=0.3)
    client.until_output(job, "ready")
    stray = int(note.read_text())
    before = time.monotonic()
    client.call("job.cancel", ids=[job])
    assert client.call("job.get", id=job)["phase"] == "stopping"
    record = client.wait(job)[0]
    assert (record["outcome"], record["signal"]) == ("cancelled", 9)
    assert 0.25 < time.monotonic() - before < seconds(5)
    assert not alive(stray)


def test_what_forks_without_pause(start):
    daemon = start(process__slots=2)
    client = daemon.connect()
    job = client.submit(shell="echo ready; f() { while :; do (sleep 0.05; sleep 300) & wait -n 2>/dev/null || sleep 0.02; [ $((i=i+1)) -gt 40 ] && sleep 300; done; }; f")
    client.until_output(job, "ready")
    time.sleep(0.2)  # lets it fork on; nothing is concluded from it
    client.call("job.cancel", ids=[job], force=True)
    client.wait(job)
    assert not [pid for pid in daemon.processes() if command_line(pid).startswith(b"sleep")]


def test_kill_of_the_daemon_then_a_new_one_in_the_same_place(start):
    daemon = start(process__slots=2)
    client = daemon.connect()
    client.run(command=["true"])
    daemon.process.kill()
    daemon.process.wait()
    import subprocess

    from harness import BIN

    again = subprocess.Popen(
        [BIN / "stintd", "--state-dir", daemon.state, "--socket", daemon.socket], stderr=open(daemon.log, "ab"), stdin=subprocess.DEVNULL)
    daemon.process, daemon.pid = again, again.pid
    until(daemon._serves, 20, "the second daemon")
    with daemon.connect() as client:
        assert client.run(command=["echo", "x"])["stdout"]["data"] == "x\n"


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "shutdown"])
def test_stop_takes_running_programs_along(start, way):
    daemon = start(process__slots=2)
    client = daemon.connect()
    job = client.submit(shell="setsid -f sleep 300; sleep 300")
    client.until_state(job, "running", "running")
    stream = client.call("job.results", ids=[job])["stream"]
    if way == "shutdown":
        client.call("daemon.shutdown", jobs="cancel")
    else:
        daemon.process.send_signal(getattr(signal, way))
    assert daemon.process.wait(seconds(20)) == 0
    assert [record["outcome"] for record in client.rest(stream)] in (["cancelled"], [])
    assert not [pid for pid in daemon.processes()]
