"""A program whose file does not open, as on a dead network mount: its exec hangs, and nobody else notices.

The kernel asks this test before it opens the file for an exec (fanotify(7), FAN_OPEN_EXEC_PERM), and waits for the answer.
"""

import ctypes
import os
import select
import shutil
import signal
import struct
import time
from pathlib import Path

import pytest
from harness import children, seconds, until

CLASS_CONTENT, CLOSE_ON_EXEC = 0x04, 0x01
MARK_ADD, OPEN_EXEC_PERM = 0x01, 0x00040000
ALLOW, DENY = 0x01, 0x02
AT_FDCWD = -100


class Gate:
    """A program that nobody can start before it is opened."""

    def __init__(self, path):
        shutil.copy("/bin/true", path)
        self.path = path
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.fanotify_init(CLASS_CONTENT | CLOSE_ON_EXEC, os.O_RDONLY | os.O_CLOEXEC)
        if self.fd < 0:
            pytest.skip(f"fanotify needs root: {os.strerror(ctypes.get_errno())}")
        mark = self.libc.fanotify_mark
        mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
        if mark(self.fd, MARK_ADD, OPEN_EXEC_PERM, AT_FDCWD, os.fsencode(path)) != 0:
            os.close(self.fd)
            pytest.skip(f"this kernel asks nobody before an exec: {os.strerror(ctypes.get_errno())}")

    def wait(self):
        assert select.select([self.fd], [], [], seconds(20))[0], "nobody came"

    def answer(self, response):
        """Lets go, or refuses, who waits before the gate, once somebody has come."""
        self.wait()
        events = os.read(self.fd, 65_536)
        for at in range(0, len(events), 24):
            fd = struct.unpack_from("=i", events, at + 16)[0]
            os.write(self.fd, struct.pack("=iI", fd, response))
            os.close(fd)

    def close(self):
        os.close(self.fd)  # lets all go


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def gate(tmp_path):
    one = Gate(tmp_path / "gate")
    yield one
    one.close()


@pytest.fixture
def daemon(start, gate):
    return start(process__runners=1, process__slots=8)


@pytest.fixture
def client(daemon):
    return daemon.connect()


def test_others_on_its_runner_go_on(client, gate):
    talker = client.submit(command=["cat"], stdin="stream")
    client.until_state(talker)
    hanging = client.submit(command=[str(gate.path)])
    client.until_state(hanging)
    # New ones begin, outputs are read, inputs arrive, timeouts hold.
    before = time.monotonic()
    assert client.run(command=["echo", "hi"])["stdout"]["data"] == "hi\n"
    client.call("job.input", id=talker, data="a word\n")
    client.until_output(talker, "a word\n")
    late = client.submit(command=["sleep", "60"], timeout=0.2, grace=0)
    assert client.wait(late)[0]["outcome"] == "timed_out"
    client.call("job.input", id=talker, data="", end=True)
    assert client.wait(talker)[0]["outcome"] == "succeeded"
    assert time.monotonic() - before < seconds(10)
    assert client.call("job.get", id=hanging)["state"] == "running"
    gate.answer(ALLOW)
    assert client.wait(hanging)[0]["exit_code"] == 0


def test_cancel_and_timeout_reach_it(client, gate):
    jobs = [client.submit(command=[str(gate.path)], grace=0, timeout=timeout) for timeout in (60, 0.3)]
    client.until_state(jobs[0])
    client.call("job.cancel", ids=[jobs[0]])
    records = client.wait(*jobs)
    assert [record["outcome"] for record in records] == ["cancelled", "timed_out"], records


@pytest.mark.parametrize("stands_still", [False, True])
def test_it_may_fail_in_the_end(daemon, client, gate, stands_still):
    job = client.submit(command=[str(gate.path)])
    client.until_state(job)
    gate.wait()
    runner = daemon.worker_pids("runner")[0]
    if stands_still:  # it learns of the failure late, and of all that was due meanwhile at once
        os.kill(runner, signal.SIGSTOP)
    gate.answer(DENY)
    if stands_still:
        until(lambda: [state(pid) for pid in children(runner)] == ["Z"], 20, "the child's end")
        os.kill(runner, signal.SIGCONT)
    record = client.wait(job)[0]
    assert record["outcome"] == "failed" and record["error"]["kind"] == "spawn", record
    assert "Operation not permitted" in record["error"]["message"] and record["exit_code"] == 126
    assert client.run(command=["true"])["outcome"] == "succeeded"
