"""The n-th call of libc fails, n = 1, 2, 3 …: in the daemon or in its workers, while they start, recover and work.

After each: whatever was acknowledged is accounted for, nothing ran twice, and the daemon either serves on or has ended with
an exit code that says so and recovers at its next start. The short form draws a few n of each call; the long one goes on
until a life passes untouched. fail_nth.cpp makes the calls fail.
"""

import errno
import mmap
import os
import signal
import struct
import tempfile
import time
from pathlib import Path

import pytest
from account import LONG, noting, runs_noted
from harness import BIN, RpcError, seconds, until

SHIM = BIN / "libfail_nth.so"
CALLS = ["none", "open", "write", "pwrite", "fsync", "ftruncate", "fallocate", "socket", "accept", "connect", "pipe", "epoll",
         "memfd", "mmap", "mkdir", "fork", "clone"]
ERRORS = {
    "open": ["EMFILE", "ENOSPC", "ENOMEM"], "write": ["ENOSPC", "EIO"], "pwrite": ["ENOSPC", "EIO"], "fsync": ["EIO", "ENOSPC"],
    "ftruncate": ["EIO"], "fallocate": ["ENOSPC"], "socket": ["EMFILE", "ENOMEM"], "accept": ["EMFILE", "ENOMEM"],
    "connect": ["ENOMEM"], "pipe": ["EMFILE"], "epoll": ["ENOMEM", "EMFILE"], "memfd": ["EMFILE", "ENOMEM"], "mmap": ["ENOMEM"],
    "mkdir": ["ENOSPC"], "fork": ["ENOMEM"], "clone": ["ENOMEM", "EAGAIN"],
}
WHOSE = {"daemon": 1, "worker": 2}
SHORT_N_MAX = 8
LONG_N_MAX = 500


class Failing:
    """What fail_nth.cpp looks at."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(32))
        with open(path, "r+b") as file:
            self.place = mmap.mmap(file.fileno(), 32)

    def arm(self, call, error, whose, n):
        self.place[:] = struct.pack("=iiiiqq", 0, getattr(errno, error), WHOSE[whose], 0, n, 0)
        self.place[:4] = struct.pack("=i", CALLS.index(call))

    def disarm(self):
        """True where a call has failed."""
        self.place[:4] = bytes(4)
        return struct.unpack("=q", self.place[24:32])[0] > 0


class House:
    """A daemon over all its lives, and what it has promised."""

    def __init__(self, start, failing):
        environment = {**os.environ, "LD_PRELOAD": str(SHIM), "STINT_FAIL_NTH": str(failing.path)}
        self.daemon = start(environment=environment, process__slots=4, process__runners=2, thread__threads=2)
        self.failing = failing
        self.ran = self.daemon.home / "ran"
        self.promised = {}  # id -> kind
        self.call = "none"

    def ask(self, method, **params):
        """The answer; None where it is refused for want of something, or nobody is there to answer."""
        try:
            with self.daemon.connect() as client:
                self.daemon.clients.clear()
                return client.call(method, **params)
        except RpcError as error:
            assert error.kind in ("unavailable", "internal_error"), error
        except (OSError, EOFError):
            pass
        except AssertionError as error:
            if "the daemon closed the connection" not in str(error) and "ended inside a line" not in str(error):
                raise
        return None

    def submit(self, kind, **job):
        answer = self.ask("job.submit", job=job)
        if answer:
            self.promised[answer["id"]] = kind

    def work(self):
        """A bit of everything that opens, writes, forks or maps."""
        self.submit("small", shell=noting(self.ran, "echo x; exit 3"))
        self.submit("large", shell=noting(self.ran, "head -c 100000 /dev/zero; exit 3"))
        self.submit("host", task="echo", args="x" * 100_000, executor="process")
        self.submit("thread", task="echo", args=7, executor="thread")

    def go_on(self):
        """It serves, by itself or by another start; whoever has ended has said so by its exit code."""
        until(lambda: self.daemon.process.poll() is not None or self.serves(), 20, "an end or service")
        if self.daemon.process.poll() is not None:
            # Libraries may crash for want of memory: then it has not ended well, and the next start goes on all the same.
            ended_well = self.daemon.exit_code() > 0 or (self.call == "mmap" and self.daemon.exit_code() < 0)
            assert ended_well, f"exit code {self.daemon.exit_code()}:\n{self.daemon.log.read_text()[-3000:]}"
            self.failing.disarm()
            self.daemon.launch()
            self.daemon.until_serving()

    def serves(self):
        # Connecting is not enough: whoever is on its way down has the socket still.
        return self.ask("daemon.info") is not None

    def check(self):
        """All that was promised comes to an end that may be. True where a call has failed meanwhile."""
        deadline = time.monotonic() + seconds(30)
        pending, ended = set(self.promised), []
        while pending:
            assert time.monotonic() < deadline, f"no end of {[self.ask('job.get', id=one) for one in pending]}"
            self.go_on()
            answer = self.ask("job.wait", ids=sorted(pending), timeout=2)
            for record in answer["finished"] if answer else []:
                pending.discard(record["id"])
                ended.append(record)
        failed = self.failing.disarm()
        self.go_on()
        for record in ended:
            self.check_end(record)
        self.promised.clear()
        twice = {run: count for run, count in runs_noted(self.ran).items() if count > 1}
        assert not twice, f"ran twice: {twice}"
        return failed

    def check_end(self, record):
        kind, outcome = self.promised[record["id"]], record["outcome"]
        if outcome == "lost":
            return  # its process or its daemon had died
        if "signal" in record:
            assert kind in ("small", "large") and record["signal"] == signal.SIGKILL, record  # its runner could not watch it
        elif kind in ("small", "large") and "exit_code" in record and not record.get("error"):
            assert record["exit_code"] == 3, record
            assert runs_noted(self.ran)[(record["id"], record["attempt"])] == 1, record
            output = b"x\n" if kind == "small" else bytes(100_000)
            if not record["stdout"]["truncated"]:
                with self.daemon.connect() as client:
                    assert client.output(record["id"]) == output, record
        elif outcome == "failed":
            assert record["error"]["message"], record
        else:
            assert outcome == "succeeded", record
            with self.daemon.connect() as client:
                result = client.call("job.spec", id=record["id"])["result"] if kind == "host" else record["result"]
            assert result == ("x" * 100_000 if kind == "host" else 7), record

    def life(self, phase, call, error, whose, n):
        """One failure; True where it came to one."""
        if phase == "start":
            # Something runs and something waits while nobody is there; all of it is found again, or the start says why not.
            self.work()
            self.daemon.kill()
        print(f"{phase}: call {n} of {call} in the {whose} is to fail with {error}", flush=True)
        self.call = call
        self.failing.arm(call, error, whose, n)
        if phase == "start":
            self.daemon.launch()
            self.go_on()
        self.work()
        return self.check()


def numbers(chance):
    return range(1, LONG_N_MAX) if LONG else [chance.choice([1, 1, 2, 3, chance.randint(4, SHORT_N_MAX)])]


@pytest.fixture
def house(start):
    with tempfile.TemporaryDirectory(prefix="stint-test-") as folder:
        yield House(start, Failing(Path(folder) / "control"))


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("phase", ["start", "work"])
def test_each_call_fails_once(house, chance, phase, whose):
    lives = failures = 0
    for call, errors in ERRORS.items():
        for error in errors if LONG else [chance.choice(errors)]:
            for n in numbers(chance):
                try:
                    failed = house.life(phase, call, error, whose, n)
                except BaseException as defect:
                    house.failing.disarm()
                    log = house.daemon.log.read_text()[-3000:]
                    raise AssertionError(f"{call} fails with {error} in the {whose}, call {n} of its {phase}:\n{log}") from defect
                lives, failures = lives + 1, failures + failed
                if not failed:
                    break
    house.daemon.restart()  # it may be just about to end
    print(f"{phase}, {whose}: {failures} failures in {lives} lives")
    assert failures >= 2, "hardly a call has failed"
