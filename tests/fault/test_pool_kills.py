"""kill -9 of pool workers at every moment, and of their runner and daemon under way: only what was begun suffers, nothing runs twice."""

import contextlib
import os
import signal
import sys
import threading

import pytest
from account import assert_ran_once, long_or_short, runs_noted
from harness import alive, children, until

# Notes each message as it begins, dies where the message says so, and answers otherwise.
WORKER = r"""
import json, os, signal, sys, time
ran = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for line in sys.stdin:
    message = json.loads(line)
    args = message["args"]
    os.write(ran, b"%d %d\n" % (message["id"], message["attempt"]))
    answer = json.dumps({"id": message["id"], "result": args["number"]}).encode() + b"\n"
    def die(moment):
        if args.get("die") == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    die("asked")
    os.write(2, b"said")
    die("said")
    os.write(1, b'{"id": %d, "progress": 0.5}\n' % message["id"])
    die("progress")
    time.sleep(args.get("seconds", 0))
    os.write(1, answer[:5])
    die("half")
    os.write(1, answer[5:-1])
    die("whole")
    os.write(1, b"\n")
    die("answered")
"""
MOMENTS = ["asked", "said", "progress", "half", "whole", "answered"]


def set_pool(daemon, client, name, size):
    ran = daemon.home / name
    client.call("pool.set", name=name, command=[sys.executable, "-S", "-c", WORKER, str(ran)], size=size)
    return ran


def runner_of_pools(daemon, pid):
    (runner,) = [one for one in daemon.workers("runner") if pid in children(one)]
    return runner


@pytest.mark.parametrize("size", [1, 3])
def test_a_worker_that_dies_at_each_moment(start, size):
    """Where it has answered, nobody suffers; elsewhere its own message does."""
    daemon = start()
    client = daemon.connect()
    ran = set_pool(daemon, client, "p", size)
    plan = [moment for moment in MOMENTS for _ in range(long_or_short(50, 4))] + [None] * 20
    jobs = []
    for number, moment in enumerate(plan):
        jobs.append(client.submit(pool="p", args={"number": number, "die": moment}))
        jobs.append(client.submit(pool="p", args={"number": -number}))
    records = client.wait(*jobs)
    for number, moment in enumerate(plan):
        struck, other = records[2 * number : 2 * number + 2]
        assert (other["outcome"], other["result"]) == ("succeeded", -number), other
        if moment in (None, "answered"):
            assert (struck["outcome"], struck["result"]) == ("succeeded", number), struck
        else:
            assert (struck["outcome"], struck["error"]["kind"]) == ("failed", "crashed"), struck
            assert struck["stderr"]["bytes"] == (0 if moment == "asked" else 4), struck
    assert_ran_once(ran)
    assert len(runs_noted(ran)) == len(jobs), "each message was begun"


class Killer(threading.Thread):
    """Kills workers of the runner, one after the other, until it is told to stop; counts them."""

    def __init__(self, runner, spare, chance):
        super().__init__()
        self.runner, self.spare, self.chance = runner, spare, chance
        self.over = threading.Event()
        self.kills = 0

    def run(self):
        while not self.over.wait(self.chance.uniform(0.001, 0.03)):
            for pid in self.chance.sample(children(self.runner), 1) if children(self.runner) else []:
                if pid != self.spare:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.kills += 1


def test_workers_killed_at_random(start, chance):
    """As many messages fail as workers were killed, at the most, and the other pool on the same runner never notices."""
    daemon = start()
    client = daemon.connect()
    ran = set_pool(daemon, client, "p", 3)
    calm = set_pool(daemon, client, "calm", 1)
    spare = client.submit(pool="calm", args={"number": 0, "seconds": 0.2})
    spare_pid = client.until_state(spare, "running", "running")["pid"]
    killer = Killer(runner_of_pools(daemon, spare_pid), spare_pid, chance)
    killer.start()
    try:
        count = long_or_short(5000, 300)
        jobs = [client.submit(pool="p", args={"number": n, "seconds": chance.uniform(0, 0.01)}) for n in range(count)]
        others = [client.submit(pool="calm", args={"number": n}) for n in range(count)]
        records = client.wait(*jobs, *others, timeout=300)
    finally:
        killer.over.set()
        killer.join()
    failed = [record for record in records[:count] if record["outcome"] != "succeeded"]
    assert 0 < len(failed) <= killer.kills, (len(failed), killer.kills)
    for record in failed:
        assert (record["outcome"], record["error"]["kind"]) == ("failed", "crashed"), record
    for number, record in enumerate(records[:count]):
        assert record in failed or record["result"] == number, record
    assert [record["result"] for record in records[count:]] == list(range(count))
    assert client.wait(spare)[0]["outcome"] == "succeeded" and alive(spare_pid)
    for path in (ran, calm):
        assert_ran_once(path)
    begun = {job for job, _ in runs_noted(ran)}
    assert all(record["id"] in begun for record in records[:count] if record["outcome"] == "succeeded")


@pytest.mark.parametrize("victim", ["runner", "daemon", "both"])
def test_runner_and_daemon_killed_under_way(start, chance, victim):
    """What had begun is lost or has its answer; what had not runs later, once."""
    daemon = start()
    client = daemon.connect()
    ran = set_pool(daemon, client, "p", 2)
    jobs = {}
    for _ in range(long_or_short(40, 4)):
        for number in range(40):
            jobs[client.submit(pool="p", args={"number": number, "seconds": chance.uniform(0, 0.01)})] = number
        last = chance.choice(list(jobs)[-40:-5])
        client.call("job.wait", ids=[last])
        if victim != "daemon":
            for runner in [one for one in daemon.workers("runner") if any("-c" in line for line in command_lines(one))]:
                os.kill(runner, signal.SIGKILL)
        if victim != "runner":
            daemon.restart()
            client = daemon.connect()
    records = client.wait(*jobs, timeout=60)
    noted = runs_noted(ran)
    for record in records:
        if record["outcome"] == "lost":
            assert record["error"]["kind"] == "lost", record
        else:
            assert (record["outcome"], record["result"]) == ("succeeded", jobs[record["id"]]), record
            assert (record["id"], record["attempt"]) in noted, record
    assert any(record["outcome"] == "lost" for record in records), "nothing was begun when it was killed"
    assert_ran_once(ran)
    until(lambda: client.call("pool.list")["pools"][0]["running"] == 0, 10, "an idle pool")


def command_lines(runner):
    """Those of its programs, word by word."""
    for pid in children(runner):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf8", errors="replace") as file:
            yield file.read().split("\0")
