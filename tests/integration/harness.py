"""A real stintd in a directory of its own, and a client that speaks raw lines to it.

Standard library only. Deadlines are waits for events and scale with STINT_TIME_SCALE (sanitizer builds are slower).
"""

import contextlib
import itertools
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ.get("STINT_BIN_DIR", ""))
SCALE = float(os.environ.get("STINT_TIME_SCALE", "1"))
SANITIZED = SCALE > 1
SANITIZER_WORDS = ("Sanitizer:", "runtime error:", "SUMMARY:", "terminate called", "Assertion")


def seconds(plain):
    """A deadline for this build."""
    return plain * SCALE


def until(condition, timeout=10, what="the condition"):
    """Waits for something outside the daemon's protocol (a process to vanish); returns the condition's value."""
    deadline = time.monotonic() + seconds(timeout)
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {seconds(timeout)} s"
        time.sleep(0.005)


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']} {error['data'].get('kind')}: {error['message']} {error['data']}")
        self.error = error
        self.code = error["code"]
        self.data = error["data"]
        self.kind = error["data"]["kind"]
        self.field = error["data"].get("field")


class Client:
    """One connection. Answers and stream items that nobody has asked for yet are kept."""

    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds(timeout))
        self.socket.connect(str(path))
        self.buffer = bytearray()
        self.numbers = itertools.count(1)
        self.answers = {}
        self.items = {}
        self.ends = {}

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- bytes and lines
    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def read_line(self, timeout=30):
        """One line, decoded; None at the end of the connection."""
        self.socket.settimeout(seconds(timeout))
        scanned = 0
        while True:
            end = self.buffer.find(b"\n", scanned)
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[: end + 1]
                return json.loads(line)
            scanned = len(self.buffer)
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return None
            if not data:
                assert not self.buffer, f"the connection ended inside a line: {bytes(self.buffer[:200])!r}"
                return None
            self.buffer += data

    def read_all(self, timeout=30):
        lines = []
        while (line := self.read_line(timeout)) is not None:
            lines.append(line)
        return lines

    def silent(self, for_seconds):
        """True when nothing arrives for so long."""
        return not self.buffer and not select.select([self.socket], [], [], for_seconds)[0]

    # ---- calls
    def post(self, method, **params):
        """Sends a request and returns its id."""
        number = next(self.numbers)
        self.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
        return number

    def _take(self, timeout):
        message = self.read_line(timeout)
        assert message is not None, "the daemon closed the connection"
        if isinstance(message, dict) and message.get("method") == "stream.item":
            self.items.setdefault(message["params"]["stream"], []).append(message["params"]["item"])
        elif isinstance(message, dict) and message.get("method") == "stream.end":
            self.ends[message["params"]["stream"]] = message["params"]
        else:
            self.answers[message["id"]] = message

    def answer(self, number, timeout=30):
        """The result of the request `number`; raises RpcError."""
        while number not in self.answers:
            self._take(timeout)
        message = self.answers.pop(number)
        assert message["jsonrpc"] == "2.0"
        if "error" in message:
            raise RpcError(message["error"])
        return message["result"]

    def call(self, method, **params):
        return self.answer(self.post(method, **params))

    def error(self, method, **params):
        """The RpcError that the call must give."""
        try:
            result = self.call(method, **params)
        except RpcError as error:
            return error
        raise AssertionError(f"{method} answered {result}")

    def item(self, stream, timeout=30):
        """The next item of the stream, None at its end."""
        while not self.items.get(stream):
            if stream in self.ends:
                return None
            self._take(timeout)
        return self.items[stream].pop(0)

    def rest(self, stream, timeout=30):
        """All further items; the reason of the end stands in `ends`."""
        items = []
        while (item := self.item(stream, timeout)) is not None:
            items.append(item)
        return items

    def end(self, stream):
        self.rest(stream)
        return self.ends[stream]["reason"]

    # ---- jobs
    def submit(self, **job):
        return self.call("job.submit", job=job)["id"]

    def run(self, output=True, **job):
        return self.call("job.run", job=job, output=output)

    def wait(self, *ids, timeout=30):
        """The records of these jobs, finished, in the order given."""
        answer = self.call("job.wait", ids=list(ids), timeout=seconds(timeout))
        assert not answer["pending"], f"still pending: {answer['pending']}"
        records = {record["id"]: record for record in answer["finished"]}
        return [records[number] for number in ids]

    def results(self, **params):
        stream = self.call("job.results", **params)["stream"]
        return self.rest(stream)

    def output(self, number, of="stdout", **params):
        """The whole kept output of a job, by pages."""
        import base64

        text, offset = b"", 0
        while True:
            piece = self.call("job.output", id=number, of=of, offset=offset, **params)
            text += base64.b64decode(piece["data"]) if piece["encoding"] == "base64" else piece["data"].encode()
            offset = piece["next"]
            if piece["end"]:
                return text

    def until_state(self, number, state="running", phase=None, timeout=30):
        """Waits until the job is there; returns its record."""

        def there():
            record = self.call("job.get", id=number)
            assert record["state"] != "finished" or state == "finished", record
            return record if record["state"] == state and phase in (None, record.get("phase")) else None

        return until(there, timeout, f"job {number} {state} {phase or ''}")

    def until_output(self, number, text, of="stdout", timeout=30):
        """Follows the output until `text` has been seen: the job is known to have come that far."""
        stream = self.call("job.output", id=number, of=of, follow=True)["stream"]
        seen = ""
        while text not in seen:
            piece = self.item(stream, timeout)
            assert piece is not None, f"the output of job {number} ended with {seen!r}"
            seen += piece["data"]
        if stream not in self.ends:
            self.call("stream.cancel", stream=stream)
            self.rest(stream)
        return seen


class Daemon:
    """Started at once; `stop` proves that it left nothing behind. It can be killed and started again on the same state.

    `in_memory` keeps its state from the disk, for tests of moments: a busy disk takes a tenth of a second for a commit at times.
    """

    def __init__(self, open_files=None, environment=None, flags=(), state=None, in_memory=False, binaries=None, **settings):
        memory = "/dev/shm" if in_memory and os.access("/dev/shm", os.W_OK) else None
        self.home = Path(tempfile.mkdtemp(prefix="stint-test-", dir=memory))
        self.state = Path(state or self.home / "state")
        self.socket = self.home / "s"
        self.log = self.home / "stderr"
        self.binaries = Path(binaries or BIN)
        self.clients = []
        self.orphans = set()  # of daemons that were killed: they end by themselves, or serve the next one
        self.open_files = (open_files, open_files) if isinstance(open_files, int) else open_files
        self.environment = environment
        self.arguments = ["--state-dir", str(self.state), "--socket", str(self.socket), *flags]
        # A test that ends must leave no program behind; those that are about programs that outlive it say so.
        for key, value in ({"daemon__on_stop": "cancel"} | settings).items():
            self.arguments += ["--set", f"{key.replace('__', '.')}={value}"]
        self.launch()
        try:
            self.until_serving()
        except BaseException:
            self.destroy()
            raise

    # ---- its lives
    def launch(self):
        """A new process, which may not serve yet."""

        def limit():
            if self.open_files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, self.open_files)

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.binaries / "stintd"), *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, preexec_fn=limit,
            )
        self.pid = self.process.pid

    def until_serving(self, timeout=20):
        until(self._serves, timeout, "the daemon's socket")

    def kill(self):
        """kill -9: it is dead when this returns; what outlives it goes on."""
        self.process.kill()
        self.process.wait()
        self.orphans |= self.processes()

    def restart(self, orderly=False):
        """Another daemon on the same state; the one that is there, if any, is killed, or told to go and leave the programs alone."""
        if orderly:
            with Client(self.socket) as client:
                client.call("daemon.shutdown", jobs="detach")
            assert self.exit_code() == 0
        else:
            self.kill()
        self.launch()
        self.until_serving()

    def exit_code(self, timeout=20):
        """How the process ended; it must do so by itself."""
        return self.process.wait(seconds(timeout))

    def _serves(self):
        assert self.process.poll() is None, f"stintd ended with {self.process.returncode}: {self.log.read_text()}"
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True

    def connect(self, timeout=30):
        client = Client(self.socket, timeout)
        self.clients.append(client)
        return client

    def directory(self, name):
        path = self.home / name
        path.mkdir(exist_ok=True)
        return path

    # ---- what /proc says
    def processes(self):
        """Every process that is ours: descendants of the daemon and whoever names its home or its state."""
        found = set()
        if self.process.poll() is None:
            found.update(descendants(self.pid))
        marks = (str(self.home).encode(), str(self.state).encode())
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{entry}/environ").read_bytes() + Path(f"/proc/{entry}/cmdline").read_bytes()
                    if any(mark in words for mark in marks):
                        found.add(int(entry))
        return found

    def workers(self, role):
        """Pids of the worker processes that are a `zygote`, `runner` or `host`."""
        first = [pid for pid in children(self.pid) if process_name(pid) == "stint-zygote"]
        if role == "zygote":
            return first
        others = [pid for one in first for pid in children(one) if process_name(pid).startswith("stint-")]
        return [pid for pid in others if process_name(pid) == f"stint-{role}"]

    def worker_pids(self, role="runner"):
        """Pids of living workers by what their folders say: the same with and without a daemon."""
        found = []
        for lock in self.state.glob("workers/*/lock"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                pid = int(lock.read_text().splitlines()[0])
                if process_name(pid) == f"stint-{role}" and str(self.state).encode() in command_line(pid):
                    found.append(pid)
        return found

    # ---- its end
    def stop(self, timeout=20):
        """SIGTERM, and everything that a good end is."""
        self._end(lambda: self.process.send_signal(signal.SIGTERM), timeout)

    def finish(self, timeout=20):
        """A good end of a test that left programs running or the daemon dead: everything is cancelled."""
        if self.process.poll() is not None:
            self.launch()
        self.until_serving()

        def cancel():
            with Client(self.socket) as client:
                client.call("daemon.shutdown", jobs="cancel")

        self._end(cancel, timeout)

    def _end(self, order, timeout):
        for client in self.clients:
            client.close()
        code = self.process.poll()
        if code is None:
            order()
            try:
                code = self.process.wait(seconds(timeout))
            except subprocess.TimeoutExpired:
                code = "no end after the order to stop"
        text = self.log.read_text(errors="replace")
        with contextlib.suppress(AssertionError):
            until(lambda: not self.orphans & self.processes(), 5)
        left = {pid: command_line(pid) for pid in self.processes()}
        socket_left = self.socket.exists()
        self.destroy()
        reports = [line for line in text.splitlines() if any(word in line for word in SANITIZER_WORDS)]
        assert not reports, f"reports on standard error:\n{text[-20000:]}"
        assert code == 0, f"stintd ended with {code}:\n{text[-5000:]}"
        assert not left, f"processes were left: {left}"
        assert not socket_left, "the socket was left"

    def kill_everything(self):
        """kill -9 of the daemon and of all that it has started: the workers first, which else may see the others die."""
        self.kill()

        def all_gone():
            found = self.processes()
            for pid in sorted(found, key=lambda pid: b"stint-worker" not in command_line(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        # Again and again: what is killed may be in the middle of starting something.
        until(all_gone, 10, "the end of all processes")

    def destroy(self):
        self.kill_everything()
        shutil.rmtree(self.home, ignore_errors=True)


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    return b""


def process_name(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def alive(pid):
    """True while a thread of the process runs: a zombie may still have threads, and all that the process holds with them."""
    try:
        threads = [Path(f"/proc/{pid}/task/{thread}/stat").read_text() for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return Path(f"/proc/{pid}").exists()  # one that has just ended: look again
    return any(stat.rpartition(")")[2].split()[0] not in "ZX" for stat in threads)


def parent(pid):
    """Its parent's pid; 0 where there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def freeze(pid):
    """SIGSTOP, and waits until it stands: what runs on another processor goes on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZ", what="a process to stand")


def runner_of(pid):
    """The runner that has begun this program."""
    while process_name(pid) != "stint-runner":
        pid = parent(pid)
        assert pid > 1, "no runner above the program"
    return pid


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    return found


def descendants(pid):
    found, left = [], [pid]
    while left:
        more = children(left.pop())
        found += more
        left += more
    return found
