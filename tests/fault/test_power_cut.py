"""The power is cut at random moments under a daemon at work: what was acknowledged is there afterwards.

The state lies on an ext4 of its own that is shut down without a flush. All processes die with it, and the next start finds
the boot id of another boot, as after a real one. What ran then is lost, or ended where that end was on disk.
"""

import collections
import random
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from account import Account, assert_ran_once, long_or_short, noting, runs_noted
from harness import Client, Daemon, seconds, until
from mount import CuttableDisk

CUTS = long_or_short(60, 6)


@pytest.fixture
def disk():
    folder = Path(tempfile.mkdtemp(prefix="stint-test-"))
    cuttable = None
    try:
        cuttable = CuttableDisk(folder, "512M")
        yield cuttable
    finally:
        if cuttable is not None:
            cuttable.close()
        shutil.rmtree(folder, ignore_errors=True)


# More than travels with a result: it lies in a file of its own.
LARGE = 70_000


def large(words):
    """A shell command that prints LARGE bytes: the value of `words`, again and again."""
    return f'yes "{words}" | head -c {LARGE}'


def large_text(text):
    return ((text + "\n") * LARGE)[:LARGE].encode()


class Visitor(threading.Thread):
    """Submits and reads until the connection ends."""

    def __init__(self, daemon, account, ran, seed):
        super().__init__()
        self.daemon_ = daemon
        self.account = account
        self.ran = ran
        self.chance = random.Random(seed)
        self.defect = None

    def run(self):
        try:
            with Client(self.daemon_.socket) as client:
                while True:
                    self.turn(client)
        except OSError:
            pass
        except AssertionError as error:
            if "the daemon closed the connection" not in str(error) and "ended inside a line" not in str(error):
                self.defect = error
        except BaseException as error:
            self.defect = error

    def turn(self, client):
        job = self.chance.choice(
            [
                {"task": "echo", "args": 1},
                {"shell": noting(self.ran, "exit 3")},
                {"shell": noting(self.ran, "sleep 0.2; exit 3")},
                {"shell": noting(self.ran, large("$STINT_JOB_ID") + "; exit 3")},
            ]
        )
        before = self.account.before_submit()
        number = client.submit(**job)
        self.account.acknowledged(number, job, before)
        if self.chance.random() < 0.5:
            for record in client.call("job.wait", ids=[number], timeout=seconds(0.5))["finished"]:
                self.account.seen(record)


def cut_and_boot(disk, daemon):
    disk.cut()
    daemon.kill_everything()
    disk.mend()
    boot_anew(daemon)


def boot_anew(daemon):
    boot = daemon.state / "boot"
    if boot.exists():
        boot.write_bytes(bytes(16))


def test_power_cut(disk, start, chance):
    state = disk.place / "state"
    daemon = start(process__slots=8, state=state)
    ran = daemon.home / "ran"
    account = Account()
    for _ in range(CUTS):
        visitors = [Visitor(daemon, account, ran, chance.getrandbits(64)) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        goal = len(account.jobs) + chance.randint(1, 200)
        until(lambda goal=goal: len(account.jobs) >= goal or any(visitor.defect for visitor in visitors), 60, "work")
        cut_and_boot(disk, daemon)
        for visitor in visitors:
            visitor.join()
            if visitor.defect:
                raise visitor.defect
        daemon.launch()
        daemon.until_serving()
        client = daemon.connect()
        numbers = list(account.jobs)
        for number in numbers:
            account.seen(client.call("job.get", id=number))
    outcomes = collections.Counter()
    for record in client.wait(*account.jobs, timeout=60):
        account.seen(record)
        outcomes[record["outcome"]] += 1
        if record["outcome"] == "lost":
            continue
        assert record["outcome"] == ("succeeded" if "task" in record else "failed"), record
        assert record.get("exit_code") == (None if "task" in record else 3), record
        if "yes" in account.jobs[record["id"]].get("shell", ""):
            assert client.output(record["id"]) == large_text(str(record["id"])), record
            outcomes["large"] += 1
    print(f"{CUTS} cuts, {len(account.jobs)} jobs: {dict(outcomes)}")
    assert outcomes["succeeded"] and outcomes["failed"] and outcomes["large"]
    assert_ran_once(ran)
    ended = {(record["id"], record["attempt"]) for record in map(account.record, account.jobs) if "exit_code" in record}
    assert ended <= set(runs_noted(ran))


def test_output_of_what_was_announced(disk, start):
    """All that an end tells of is on disk with it: both streams, head and tail, and earlier attempts."""
    daemon = start(process__slots=4, state=disk.place / "state")
    client = daemon.connect()
    whole = client.submit(shell=f"{large('out')}; {large('err')} >&2")
    cut = client.submit(shell=f"{large('cut')}; {large('cut')}", output_limit=LARGE)
    again = client.submit(shell=f"{large('attempt $STINT_ATTEMPT')}; exit 1", retry={"max": 1, "delay": 0.01})
    records = client.wait(whole, cut, again)

    def outputs():
        connection = daemon.connect()
        return [
            connection.output(whole),
            connection.output(whole, of="stderr"),
            connection.output(cut),
            connection.output(again, attempt=1),
            connection.output(again, attempt=2),
        ]

    told = outputs()
    assert [len(text) for text in told] == [LARGE] * 5
    cut_and_boot(disk, daemon)
    daemon.launch()
    daemon.until_serving()
    assert daemon.connect().wait(whole, cut, again) == records
    assert outputs() == told


def test_the_first_start(disk, start, chance):
    """A cut while the state directory is being made, and just after the first acknowledgement."""
    for _ in range(3):
        daemon = Daemon(state=disk.place / "state", process__slots=2)
        try:
            client = daemon.connect()
            number = client.submit(command=["sleep", "300"])
            cut_and_boot(disk, daemon)
            daemon.launch()
            daemon.until_serving()
            assert daemon.connect().wait(number)[0]["outcome"] == "lost"
            daemon.finish()
        finally:
            daemon.destroy()
        shutil.rmtree(disk.place / "state")
    daemon = start(state=disk.place / "state")
    cut_and_boot(disk, daemon)
    daemon.launch()
    daemon.until_serving()
    assert daemon.connect().run(command=["true"])["outcome"] == "succeeded"


@pytest.mark.parametrize("trouble", ["no socket", "killed"])
def test_first_starts_that_do_not_get_through(start, chance, trouble):
    """The start that serves is the third since the boot; it has to know all the same that what ran is gone."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    ran = daemon.home / "ran"
    job = client.submit(shell=noting(ran, "sleep 300"))
    until(ran.exists, 10, "the program")
    daemon.kill_everything()
    shutil.rmtree(daemon.state / "workers")  # its newest files were never synced
    boot_anew(daemon)
    if trouble == "no socket":
        command = [str(daemon.binaries / "stintd"), "--state-dir", str(daemon.state), "--socket", str(ran / "s")]
        for _ in range(2):
            failed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds(20))
            assert failed.returncode == 1, failed
    else:
        for _ in range(20):
            daemon.launch()
            time.sleep(chance.uniform(0, 0.02))  # anywhere in its start
            daemon.kill_everything()
    daemon.launch()
    daemon.until_serving()
    (record,) = daemon.connect().wait(job)
    assert (record["outcome"], record["attempt"]) == ("lost", 1), record
    assert_ran_once(ran)
    assert (daemon.state / "boot").read_bytes() != bytes(16)
