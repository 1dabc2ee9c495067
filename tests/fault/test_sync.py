"""Answer after sync, seen from outside: in a log of strace nothing is acknowledged before the sync that covers it.

kill -9 cannot show this, because what was written survives a process; only power does not. So the calls of the daemon are
read: between the arrival of a request and the first byte of its answer the WAL must have been written and then synced.
"""

import re
import shutil
import subprocess
import time

import pytest
from harness import seconds, until

WAL = "stint.db-wal"
CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


class Trace:
    """strace of all threads of a daemon, from `__enter__` on; `calls` after the end."""

    def __init__(self, daemon):
        self.path = daemon.home / "strace"
        self.says = daemon.home / "strace-says"
        self.command = ["strace", "-f", "-y", "-s", "65536", "-e", f"trace={CALLS}", "-o", str(self.path), "-p", str(daemon.pid)]

    def __enter__(self):
        with open(self.says, "wb") as says:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=says, stderr=says)
        try:
            until(self._attached, 10, "strace")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def _attached(self):
        text = self.says.read_text()
        if self.process.poll() is not None:
            pytest.skip(f"strace cannot attach: {text.strip()}")
        return "attached" in text

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def calls(self):
        """(begin, end, name, text) in the order of their ends; begin and end are line numbers."""
        begun, found = {}, []
        for number, line in enumerate(self.path.read_text(errors="replace").splitlines()):
            thread, _, rest = line.partition(" ")
            rest = rest.strip()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = (number, rest[: -len("<unfinished ...>")])
                continue
            start = number
            if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
                start, head = begun.pop(thread, (number, ""))
                rest = head + resumed[1]
            if name := re.match(r"(\w+)\(", rest):
                found.append((start, number, name[1], rest))
        return found


def read_back(calls, own_id):
    """(end of the read that brought the request, begin of the write that brought its answer)."""
    asked = answered = None
    for begin, end, name, text in calls:
        if name.startswith(("read", "recv")) and f'\\"id\\": {own_id}, \\"method\\"' in text:
            asked = end
        if name.startswith(("write", "send")) and re.search(rf'\\"id\\":{own_id},\\"result\\"', text):
            answered = begin
            break
    assert asked is not None and answered is not None, f"request {own_id} is not in the log: {asked}, {answered}"
    return asked, answered


def syncs_between(calls, first, last):
    """Completed syncs of the WAL that began after all that was written to it between `first` and themselves had been written."""
    found, written = 0, None
    for begin, end, name, text in calls:
        if WAL not in text.split(",")[0] or not first < end < last:
            continue
        if name.startswith("pwrite"):
            written = end
        elif name in ("fsync", "fdatasync") and text.endswith("= 0") and written is not None and begin > written:
            found += 1
            written = None
    return found


def occupied(start):
    """A daemon in which programs are queued and nothing else happens."""
    daemon = start(process__slots=1)
    client = daemon.connect()
    client.until_state(client.submit(command=["sleep", "300"]), "running", "running")
    return daemon


def test_one_submit_at_a_time(start):
    daemon = occupied(start)
    with daemon.connect() as client, Trace(daemon) as trace:
        requests = []
        for _ in range(30):
            requests.append(client.post("job.submit", job={"command": ["true"]}))
            client.answer(requests[-1])
    calls = trace.calls()
    for request in requests:
        assert syncs_between(calls, *read_back(calls, request)) >= 1, f"request {request} was answered before its sync"


def test_submit_many_and_cancel(start):
    daemon = occupied(start)
    with daemon.connect() as client, Trace(daemon) as trace:
        many = client.post("job.submit_many", template={"command": ["true", "{}"]}, items=list(range(1000)))
        first = client.answer(many)["first"]
        cancel = client.post("job.cancel", ids=[first, first + 1])
        client.answer(cancel)
        forget = client.post("job.forget", ids=[first])
        client.answer(forget)
    calls = trace.calls()
    for request in (many, cancel, forget):
        assert syncs_between(calls, *read_back(calls, request)) >= 1, f"request {request} was answered before its sync"


def test_run_waits_for_the_sync_of_its_end(start):
    """The start is on disk before it happens, the end before it is told: two syncs for each."""
    daemon = start(process__slots=2, coroutine__slots=10)
    with daemon.connect() as client, Trace(daemon) as trace:
        requests = []
        for number in range(10):
            job = {"command": ["true"]} if number % 2 else {"task": "echo", "args": number}
            requests.append(client.post("job.run", job=job))
            assert client.answer(requests[-1])["outcome"] == "succeeded"
    calls = trace.calls()
    for request in requests:
        assert syncs_between(calls, *read_back(calls, request)) >= 2, f"the end of request {request} was told before its sync"


def test_pipelined_submits(start):
    """Many in one commit: for each a sync lies between its arrival and its answer."""
    daemon = occupied(start)
    with daemon.connect() as client, Trace(daemon) as trace:
        requests = [client.post("job.submit", job={"command": ["echo", "x" * 50]}) for _ in range(200)]
        for request in requests:
            client.answer(request)
    calls = trace.calls()
    for request in requests:
        assert syncs_between(calls, *read_back(calls, request)) >= 1, f"request {request} was answered before its sync"


def test_reads_wait_too(start):
    """A read that shows an end waits for the sync of that end."""
    daemon = start(process__slots=2)
    shown = []
    with daemon.connect() as client, Trace(daemon) as trace:
        for _ in range(20):
            submit = client.post("job.submit", job={"task": "sleep", "args": 0.01})
            job = client.answer(submit)["id"]
            deadline = time.monotonic() + seconds(10)
            while True:
                assert time.monotonic() < deadline
                request = client.post("job.get", id=job)
                if client.answer(request)["state"] == "finished":
                    break
            shown.append((submit, request))
    calls = trace.calls()
    for submit, request in shown:
        (asked, _), (_, answered) = read_back(calls, submit), read_back(calls, request)
        assert syncs_between(calls, asked, answered) >= 2, "an end was shown before its sync"


def test_output_is_synced_with_its_end(start):
    """A file of output, and the folder that names it, are on disk before the commit that tells of them; small ones cost nothing."""
    daemon = start(process__slots=2)
    with daemon.connect() as client, Trace(daemon) as trace:
        small = client.answer(client.post("job.run", job={"command": ["true"]}))["id"]
        request = client.post("job.run", job={"shell": "head -c 300000 /dev/zero"})
        job = client.answer(request)["id"]
    calls = trace.calls()
    _, answered = read_back(calls, request)

    def syncs(path):
        return [(begin, end) for begin, end, name, text in calls if name in ("fsync", "fdatasync") and f"<{path}>" in text]

    out = daemon.state / "out"
    (file,), (folder,) = syncs(out / f"{job}.1.stdout"), syncs(out)
    commits = [begin for begin, _ in syncs(daemon.state / WAL) if begin < answered]
    assert file[1] < folder[0] and folder[1] < commits[-1], (file, folder, commits)
    assert not syncs(out / f"{small}.1.stdout")
