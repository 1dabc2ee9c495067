"""A client of stint, the executor service of this machine: one file, the standard library only, Python 3.9 or newer.

    import stint

    stint.run(["make", "-j4"], check=True)                     # like subprocess.run

    with stint.Executor() as executor:                         # like concurrent.futures.ProcessPoolExecutor
        print(executor.submit(pow, 2, 8).result())             # an importable function, in a pool of this interpreter
        executor.map(stint.Task("digest"), ["/etc/passwd"])    # a task that is registered in the daemon
        executor.submit(["sort", "-u", "names"])               # a program; the result is a CompletedProcess

    with stint.Lock("account"):                                # between processes; also Semaphore, Event, Queue, Barrier
        ...

    with stint.Client() as client:                             # the protocol: docs/protocol.md
        job = client.submit({"command": ["make"], "name": "build"})
        for record in client.results(ids=[job]):
            print(record["outcome"])

`stint.aio` has an asyncio client and executor. Everything here may be used from several threads. After a fork the child must
make its own: what it inherited refuses to work.
"""
from __future__ import annotations

import asyncio
import atexit
import base64
import collections
import concurrent.futures
import contextlib
import errno
import functools
import io
import itertools
import json
import os
import pickle
import pwd
import queue
import select
import signal as signals
import socket as sockets
import stat
import struct
import subprocess
import sys
import threading
import time
import traceback
import types
import uuid
import weakref
from concurrent.futures.process import BrokenProcessPool
from typing import Any, AsyncIterator, Callable, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

__version__ = "0.1.0"
__all__ = [
    "Barrier", "BrokenProcessPool", "Client", "Closed", "Command", "CompletedProcess", "Conflict", "ConnectionLost", "Crashed", "Draining",
    "Error", "Event", "Executor", "Future", "InternalError", "InvalidParams", "InvalidRequest", "JobCancelled", "JobError", "JobExpired",
    "JobFailed", "JobLost", "JobSkipped", "JobTimedOut", "LimitExceeded", "Lock", "MethodNotFound", "NoDaemon", "NotFound", "ParseError",
    "PermissionDenied", "Purged", "Queue", "RemoteTraceback", "RpcError", "Semaphore", "Task", "TimedOut", "Unavailable", "Waited", "aio",
    "current_job", "run",
]

RECONNECT_SECONDS = 30.0  # how long a client tries to come back
_RECONNECT_STEP = 0.1
_READ_BYTES = 1 << 18
_PICKLE_PROTOCOL = 4  # the newest that Python 3.9 and all later ones share by default

Json = Any
Record = Dict[str, Any]

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL


# ---------------------------------------------------------------------------------------------------------- errors


class Error(Exception):
    """Whatever goes wrong between this program and the daemon."""


class NoDaemon(Error, ConnectionError):
    """No daemon can be reached; the text lists the sockets that were tried."""


class ConnectionLost(Error, ConnectionError):
    """The connection broke; a call that changes something may have taken effect or not."""


class _NotSent(ConnectionLost):
    """The request cannot have taken effect: the daemon never had all of its line."""


class RpcError(Error):
    """The daemon refused a call. `kind` is stable; `data` has what belongs to it (`field`, `expected`, `limit`…)."""

    kind = ""

    def __init__(self, error: Dict[str, Any]):
        self.code: int = error.get("code", 0)
        self.message: str = error.get("message", "")
        self.data: Dict[str, Any] = error.get("data") or {}
        self.kind: str = self.data.get("kind", type(self).kind)
        self.retryable: bool = bool(self.data.get("retryable"))
        super().__init__(error)

    def __str__(self) -> str:
        more = ", ".join(f"{name} {value!r}" for name, value in self.data.items() if name not in ("kind", "retryable"))
        return f"{self.message} ({self.kind}{': ' + more if more else ''})"


class ParseError(RpcError):
    kind = "parse_error"


class InvalidRequest(RpcError):
    kind = "invalid_request"


class MethodNotFound(RpcError, AttributeError):
    kind = "method_not_found"


class InvalidParams(RpcError, ValueError):
    kind = "invalid_params"


class InternalError(RpcError):
    kind = "internal_error"


class NotFound(RpcError, LookupError):
    kind = "not_found"


class PermissionDenied(RpcError):
    kind = "permission_denied"


class Conflict(RpcError):
    """The wrong state for that, a key with another payload, or a circle of waiters (`data["circle"]`)."""

    kind = "conflict"


class LimitExceeded(RpcError):
    kind = "limit_exceeded"


class TimedOut(RpcError, concurrent.futures.TimeoutError):
    kind = "timed_out"


class Draining(RpcError):
    kind = "draining"


class Unavailable(RpcError):
    kind = "unavailable"


class Purged(RpcError, LookupError):
    kind = "purged"


_ERRORS = {each.kind: each for each in RpcError.__subclasses__()}


def _rpc_error(error: Dict[str, Any]) -> RpcError:
    """The typed error; of a kind that this client does not know, a plain RpcError."""
    return _ERRORS.get((error.get("data") or {}).get("kind", ""), RpcError)(error)


class JobError(Error):
    """A job that did not succeed; `record` says all about it."""

    def __init__(self, record: Record):
        self.record = record
        super().__init__(record)

    def __str__(self) -> str:
        record, error = self.record, self.record.get("error") or {}
        what = record.get("name") or record.get("task") or record.get("pool") or "job"
        text = f"{what} (job {record.get('id')}) {str(record.get('outcome')).replace('_', ' ')}"
        return f"{text}: {error['message']}" if error.get("message") else text


class JobFailed(JobError):
    """Its task reported an error, or its program could not be started."""


class Crashed(JobFailed, concurrent.futures.BrokenExecutor):
    """The process that ran the task died; the daemon has replaced it."""


class JobCancelled(JobError):
    """Somebody cancelled it."""


class JobTimedOut(JobError, concurrent.futures.TimeoutError):
    """It ran longer than its own `timeout`."""


class JobLost(JobError):
    """Nobody can know how it ended."""


class JobExpired(JobError):
    """It had not started when its `expires` had passed."""


class JobSkipped(JobError):
    """A job that it depends on did not end as was asked for."""


class RemoteTraceback(Exception):
    """The traceback in the worker: the `__cause__` of an exception that a function raised there."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


_OUTCOMES = {"failed": JobFailed, "cancelled": JobCancelled, "timed_out": JobTimedOut, "lost": JobLost, "expired": JobExpired,
             "skipped": JobSkipped}


def _job_error(record: Record) -> JobError:
    if (record.get("error") or {}).get("kind") == "crashed":
        return Crashed(record)
    return _OUTCOMES.get(record.get("outcome", ""), JobError)(record)


# ---------------------------------------------------------------------------------------------- finding the daemon


class _Candidate(NamedTuple):
    path: str
    origin: str
    directory_ours: bool  # it must belong to us, or anybody could have put a socket there


def _candidates(explicit: Optional[str]) -> List[_Candidate]:
    """Where a daemon may listen, in order; a socket that is named is the only one."""
    if explicit is not None:
        return [_Candidate(explicit, "socket=", False)]
    if os.environ.get("STINT_SOCKET"):
        return [_Candidate(os.environ["STINT_SOCKET"], "STINT_SOCKET", False)]
    directories = [f"/run/user/{os.getuid()}/stint", f"/tmp/stint-{os.getuid()}"]
    if os.environ.get("XDG_RUNTIME_DIR", "").startswith("/"):
        directories.insert(0, os.path.join(os.environ["XDG_RUNTIME_DIR"], "stint"))
    found = [_Candidate(os.path.join(each, "stint.sock"), "personal", True) for each in dict.fromkeys(directories)]
    return [*found, _Candidate("/run/stint/stint.sock", "service", False)]


def _directory_fault(directory: str) -> str:
    try:
        status = os.lstat(directory)
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory"
    if status.st_uid != os.getuid():
        return f"belongs to uid {status.st_uid}"
    return "may be written to by others" if status.st_mode & 0o022 else ""


def _peer_fault(socket: sockets.socket) -> str:
    """Why the daemon at the other end must not be trusted: it is neither ours, nor root's, nor the service's."""
    _, uid, _ = struct.unpack("3i", socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, struct.calcsize("3i")))
    if uid in (os.getuid(), 0):
        return ""
    with contextlib.suppress(KeyError):
        if pwd.getpwnam("stint").pw_uid == uid:
            return ""
    return f"is served by uid {uid}, which is neither you, root nor stint: nothing was sent to it"


def _try_connect(candidate: _Candidate) -> Union[sockets.socket, str]:
    """A connection, or why there is none."""
    socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    fault = ""
    try:
        socket.connect(candidate.path)
        if candidate.directory_ours:
            fault = _directory_fault(os.path.dirname(candidate.path))
            fault = fault and f"not trusted: its directory {fault}"
        fault = fault or _peer_fault(socket)
    except OSError as error:
        known = {errno.ENOENT: "not there", errno.ECONNREFUSED: "no daemon listens there (a stale socket)"}
        fault = known.get(error.errno or 0) or error.strerror or str(error)
    if fault:
        socket.close()
        return fault
    return socket


def _find_daemon(explicit: Optional[str]) -> Tuple[sockets.socket, str]:
    attempts = []
    for candidate in _candidates(explicit):
        found = _try_connect(candidate)
        if isinstance(found, sockets.socket):
            return found, candidate.path
        attempts.append((candidate, found))
    text = "cannot connect to a daemon; tried:"
    for candidate, fault in attempts:
        text += f"\n  {candidate.path}: {fault}" + (f" ({candidate.origin})" if candidate.origin != "personal" else "")
    named = attempts[0][0].origin in ("socket=", "STINT_SOCKET")
    raise NoDaemon(text + "\nStart one with: stintd" + (f" --socket {attempts[0][0].path}" if named else "") + " &")


# ------------------------------------------------------------------------------------------------------- connection


class _Receiver:
    """What somebody waits for on a link: an answer, or items. The link calls `on_…` under its lock."""

    condition: Optional[threading.Condition] = None
    stream: Optional["_Receiver"] = None  # who gets the items, where the answer is a stream

    def ready(self) -> bool:
        raise NotImplementedError

    def on_answer(self, number: int, message: Dict[str, Any]) -> None:
        raise NotImplementedError

    def on_item(self, item: Json) -> None:
        raise NotImplementedError

    def on_end(self, end: Dict[str, Any]) -> None:
        raise NotImplementedError


class _Call(_Receiver):
    """One call and its answer."""

    def __init__(self, stream: Optional[_Receiver] = None):
        self.answer: Optional[Dict[str, Any]] = None
        self.stream = stream

    def ready(self) -> bool:
        return self.answer is not None

    def on_answer(self, number: int, message: Dict[str, Any]) -> None:
        self.answer = message


class _Items(_Receiver):
    """The items of a stream that have arrived."""

    def __init__(self) -> None:
        self.items: Deque[Json] = collections.deque()
        self.end: Optional[Dict[str, Any]] = None

    def ready(self) -> bool:
        return bool(self.items) or self.end is not None

    def on_item(self, item: Json) -> None:
        self.items.append(item)

    def on_end(self, end: Dict[str, Any]) -> None:
        self.end = end


def _notification(method: str, params: Dict[str, Any]) -> str:
    return f'{{"jsonrpc":"2.0","method":"{method}","params":{_encode(params)}}}\n'


def _taken_from(pending: Deque[Any]) -> List[Any]:
    """All that is there; others may take at the same time."""
    taken = []
    with contextlib.suppress(IndexError):
        while pending:
            taken.append(pending.popleft())
    return taken


class _Link:
    """One socket to the daemon. It has no thread: whoever waits reads for all, and hands that on when it has what it wants.

    So a lone caller pays for no switch of threads, and a callback may make calls of its own. A link that broke stays broken.
    """

    def __init__(self, socket: sockets.socket, path: str, leftovers: Deque[str]):
        self.path = path
        self.leftovers = leftovers  # notifications that go out with the next request
        self._socket = socket
        self._poll = select.poll()
        self._poll.register(socket, select.POLLIN)
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._calls: Dict[int, _Receiver] = {}
        self._streams: Dict[int, _Receiver] = {}
        self._waiting: List[_Receiver] = []  # those who wait while another one reads
        self._reading = False
        self._rest = b""
        self._abandoned: Deque[int] = collections.deque()  # streams to be cancelled with the next request
        self.failure: Optional[Exception] = None
        _links.add(self)

    def close(self, failure: Optional[Exception] = None) -> None:
        """Ends the connection; whoever waits gets `failure`."""
        if self.failure is None:
            self.failure = failure or ConnectionLost("the connection is closed")
        with contextlib.suppress(OSError):
            self._socket.shutdown(sockets.SHUT_RDWR)  # wakes whoever reads
        with self._lock:
            if not self._reading:
                self._socket.close()
            self._wake_all()

    def forked(self) -> None:
        """In the child of a fork: the socket belongs to the parent alone, and the locks may be held by threads that are gone."""
        self.failure = RuntimeError("this client was made before a fork: the child must make its own")
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._reading = False
        self._waiting.clear()
        self._socket.close()

    # ---- sending
    def request(self, method: str, params: str, receiver: _Receiver) -> int:
        """Sends a call whose params are JSON text; its answer goes to the receiver."""
        number = next(self._numbers)
        self.send([(number, method, params)], receiver)
        return number

    def numbers(self, count: int) -> List[int]:
        return list(itertools.islice(self._numbers, count))

    def send(self, calls: Sequence[Tuple[int, str, str]], receiver: _Receiver) -> None:
        """Sends calls in one write."""
        if self.failure is not None:
            raise _NotSent(str(self.failure)) if isinstance(self.failure, ConnectionLost) else self.failure
        lines = _taken_from(self.leftovers)
        lines += [f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}\n' for number, method, params in calls]
        lines += [_notification("stream.cancel", {"stream": number}) for number in _taken_from(self._abandoned)]
        data = "".join(lines).encode("utf-8", "surrogatepass")
        with self._lock:
            for number, _, _ in calls:
                self._calls[number] = receiver
        try:
            with self._send_lock:
                self._socket.sendall(data)
        except OSError as error:
            self.close(ConnectionLost(f"the connection to {self.path} broke: {error.strerror or error}"))
            raise _NotSent(str(self.failure)) from None
        except BaseException:
            self.close(ConnectionLost("a request was interrupted while it was being sent"))
            raise

    def drop_stream(self, receiver: _Receiver) -> None:
        """Forgets a stream that nobody reads any more. Safe in a destructor: it takes no lock and sends nothing."""
        for number, each in list(self._streams.items()):
            if each is receiver:
                self._streams.pop(number, None)
                self._abandoned.append(number)

    def flush(self) -> None:
        """Sends what waits for the next request, at an end: never raises, and waits for a moment only."""
        if self.leftovers and self.failure is None:
            with contextlib.suppress(Exception):
                call = _Call()
                self.request("daemon.info", "{}", call)
                self.wait(call, 1.0)  # a connection that is closed at once may not be read to its end

    # ---- waiting
    def wait(self, receiver: _Receiver, timeout: Optional[float] = None) -> bool:
        """Until the receiver is ready; False where that took too long. Raises the link's failure."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                while not receiver.ready() and self.failure is None and self._reading:
                    remaining = None if deadline is None else deadline - time.monotonic()
                    if remaining is not None and remaining <= 0:
                        return False
                    if receiver.condition is None:
                        receiver.condition = threading.Condition(self._lock)
                    self._waiting.append(receiver)
                    try:
                        receiver.condition.wait(remaining)
                    finally:
                        self._waiting.remove(receiver)
                if receiver.ready() or self.failure is not None:
                    self._pass_on()
                    if receiver.ready():
                        return True
                    raise self.failure
                self._reading = True
            try:
                if not self._read_until(receiver, deadline):
                    return False
            finally:
                with self._lock:
                    self._reading = False
                    if self.failure is not None:
                        self._socket.close()
                    self._pass_on()

    def _pass_on(self) -> None:
        """Where nobody reads, the first of those who wait shall."""
        if self.failure is not None:
            self._wake_all()
        elif not self._reading and self._waiting:
            self._wake(self._waiting[0])

    def _wake(self, receiver: _Receiver) -> None:
        if receiver.condition is not None:
            receiver.condition.notify_all()

    def _wake_all(self) -> None:
        for each in self._waiting:
            self._wake(each)

    # ---- reading
    def _read_until(self, receiver: _Receiver, deadline: Optional[float]) -> bool:
        while not receiver.ready() and self.failure is None:
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if not self._poll.poll(max(0, remaining * 1000)):
                    if remaining > 0:
                        continue
                    return False
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError as error:
                self._fail(f"the connection to {self.path} broke: {error.strerror or error}")
                break
            if not data:
                self._fail(f"the daemon at {self.path} closed the connection")
                break
            self._take(data)
        return True

    def _fail(self, text: str) -> None:
        if self.failure is None:
            self.failure = ConnectionLost(text)

    def _take(self, data: bytes) -> None:
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._rest += data
            return
        text = str(self._rest + whole, "utf-8", "replace")
        self._rest = rest
        # A line has no newline inside: one list, decoded at once, is a third faster than line by line.
        messages = json.loads("[" + text.replace("\n", ",") + "]") if "\n" in text else (json.loads(text),)
        with self._lock:
            streams, number, receiver = self._streams, None, None
            for message in messages:
                if "method" in message:
                    params = message["params"]
                    if number != params["stream"]:
                        number = params["stream"]
                        receiver = streams.get(number)
                    if receiver is None:
                        continue
                    if message["method"] == "stream.item":
                        receiver.on_item(params["item"])
                    else:
                        number = None
                        del streams[params["stream"]]
                        receiver.on_end(params)
                else:
                    number = None
                    receiver = self._calls.pop(message["id"], None)
                    if receiver is None:
                        continue
                    if receiver.stream is not None and "stream" in (message.get("result") or ()):
                        streams[message["result"]["stream"]] = receiver.stream
                    receiver.on_answer(message["id"], message)
            for each in self._waiting:
                if each.ready():
                    self._wake(each)


_links: "weakref.WeakSet[_Link]" = weakref.WeakSet()


def _after_fork() -> None:
    for link in list(_links):
        link.forked()
    _drop_shared_clients()


os.register_at_fork(before=lambda: _unnamed.clear(), after_in_child=_after_fork)  # the child knows the names, too


# ----------------------------------------------------------------------------------------------------------- client

# Calls that may not be sent twice unless they carry a key (job.input: an offset); every other one reads, or sets what it says, or
# gives back a lease: the number of a lease is never given again.
_ONCE = frozenset(["job.submit", "job.submit_many", "job.run", "job.rerun", "job.input", "job.signal", "channel.put", "channel.get",
                   "daemon.shutdown"])
# Calls that a daemon on its way down cuts short. They have changed nothing then, but for job.run, which has submitted, and job.input.
_WAITS = frozenset(["job.wait", "job.run", "job.input", "event.wait", "lock.acquire", "semaphore.acquire", "channel.put", "channel.get"])
_WAITS_HAVING_ACTED = frozenset(["job.run", "job.input"])
_STREAMS = frozenset(["job.results", "feed.subscribe"])


class _Leases(Dict[int, int]):
    """What a client holds, lease by token: whoever comes back takes it up again."""

    def note(self, method: str, params: Dict[str, Any], result: Json) -> None:
        """Takes in the answer to a call."""
        if method in ("lock.acquire", "semaphore.acquire"):
            self[result["lease"]] = result["token"]
        elif method in ("lock.release", "semaphore.release"):
            self.pop(params["lease"], None)


class Waited(NamedTuple):
    """What `Client.wait` found: records of what has finished, ids of what has not."""

    finished: List[Record]
    pending: List[int]


class _Namespace:
    """The methods of one family: `client.job.get(id=1)` is `client.call("job.get", id=1)`; a streaming one gives a Stream."""

    def __init__(self, client: "Client", family: str):
        self._client = client
        self._family = family

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = f"{self._family}.{name}"

        def call(**params: Json) -> Any:
            if method in _STREAMS or params.get("follow"):
                return Stream(self._client, method, params)
            return self._client.call(method, **params)

        call.__name__ = call.__qualname__ = method
        return call

    def __dir__(self) -> List[str]:
        return [each.partition(".")[2] for each in self._client.capabilities if each.startswith(self._family + ".")]


class Client:
    """A connection to the daemon, for any number of threads. It comes back by itself when the daemon is restarted.

    Every method of the protocol is there by its own name, with the parameters of docs/protocol.md: `client.job.list(state="running")`,
    `client.daemon.stats()`. Beside them stand a few that do more than one call: submit, results, output, …

    `socket` is a path; without it `$STINT_SOCKET`, the personal daemon's socket and the service's are tried. `reconnect` is how many
    seconds to try when the connection breaks. Inside a job `enter` binds the connection to it: leases and jobs are then the job's.
    """

    def __init__(self, socket: Optional[Union[str, "os.PathLike[str]"]] = None, *, reconnect: float = RECONNECT_SECONDS,
                 enter: bool = True):
        self._explicit = None if socket is None else os.fspath(socket)
        self._reconnect = reconnect
        self._enter = enter
        self._lock = threading.RLock()
        self._closed = False
        self._leases = _Leases()
        self._leftovers: Deque[str] = collections.deque()
        self.info: Dict[str, Any] = {}
        found, self.path = _find_daemon(self._explicit)
        self._link = self._greeted(_Link(found, self.path, self._leftovers))

    # ---- its life
    def close(self) -> None:
        """Ends the connection: its waits, streams, leases and pools end with it."""
        self._closed = True
        for name, (client, _) in list(_unnamed.items()):
            if client is self:
                _drop_unnamed(name)
        self._link.flush()
        self._link.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if "_link" in self.__dict__ and self._link.failure is None:
            self._link.flush()
            self._link._socket.close()

    def __reduce__(self) -> Any:
        raise TypeError("a stint.Client cannot be pickled: a connection belongs to its process")

    @property
    def capabilities(self) -> List[str]:
        """The methods that this daemon serves."""
        return self.info.get("capabilities", [])

    @property
    def instance(self) -> str:
        return self.info.get("instance", "")

    def _greeted(self, link: _Link) -> _Link:
        """Asks who the daemon is, and takes up what belonged to the connection before."""
        info = self._ask(link, "daemon.info", {})
        if self.info and self.info.get("state_dir") != info.get("state_dir"):
            link.close()
            raise ConnectionLost(f"another daemon listens at {self.path} now: its jobs lie in {info.get('state_dir')}, those of the "
                                 f"one before in {self.info.get('state_dir')}")
        self.info = info
        if self._enter and "job.enter" in self.capabilities and os.environ.get("STINT_JOB_ID"):
            with contextlib.suppress(NotFound, Conflict, PermissionDenied):
                self._ask(link, "job.enter", {"job": int(os.environ["STINT_JOB_ID"]), "attempt": int(os.environ.get("STINT_ATTEMPT", 1))})
        for lease, token in list(self._leases.items()):
            try:
                self._ask(link, "lease.resume", {"lease": lease, "token": token})
            except RpcError:
                self._leases.pop(lease, None)
        return link

    @staticmethod
    def _ask(link: _Link, method: str, params: Dict[str, Any]) -> Json:
        call = _Call()
        link.request(method, _encode(params), call)
        link.wait(call)
        return _result(call.answer)

    def _live(self) -> _Link:
        """The link, a new one where it broke. Raises ConnectionLost when no daemon comes back in time."""
        link = self._link
        if link.failure is None:
            return link
        with self._lock:
            if self._link.failure is None:
                return self._link
            if self._closed or not isinstance(self._link.failure, ConnectionLost):
                raise self._link.failure
            deadline = time.monotonic() + self._reconnect
            lost = self._link.failure
            while not self._closed:
                found = _try_connect(_Candidate(self.path, "socket=", False))
                if isinstance(found, sockets.socket):
                    fresh = _Link(found, self.path, self._leftovers)
                    try:
                        self._link = self._greeted(fresh)
                        return self._link
                    except (ConnectionLost, Draining) as error:  # on its way down; the next one may be another
                        fresh.close()
                        if "another daemon" in str(error):
                            raise
                if time.monotonic() >= deadline:
                    raise ConnectionLost(f"{lost}; no daemon came back within {self._reconnect:g} s")
                time.sleep(_RECONNECT_STEP)  # a socket file has no event to wait for
            raise lost

    # ---- calls
    def call(self, method: str, /, **params: Json) -> Json:
        """One call of the protocol; raises the RpcError of its kind. When the connection breaks it is made again, unless that could
        do something twice: then ConnectionLost says that nobody knows."""
        again = method not in _ONCE or _once_anyway(method, params)
        deadline = _deadline(params)
        while True:
            link = self._live()
            call = _Call()
            try:
                link.request(method, _encode(_in_time(params, deadline)), call)
                link.wait(call)
                result = _result(call.answer)
                self._leases.note(method, params, result)
                return result
            except ConnectionLost as lost:
                if self._closed or not again and not isinstance(lost, _NotSent):
                    raise
            except Draining:
                # A daemon that only drains says it to those who submit, at once, and again.
                if method not in _WAITS or method in _WAITS_HAVING_ACTED and not again or not self._went_away(link):
                    raise
            except RpcError:
                raise
            except BaseException:
                link._calls = {number: each for number, each in link._calls.items() if each is not call}
                raise

    @staticmethod
    def _went_away(link: _Link) -> bool:
        """Whether the link breaks within a second: then it was the end of that daemon."""
        with contextlib.suppress(ConnectionLost):
            link.wait(_Call(), 1.0)
            return False
        return True

    def __getattr__(self, name: str) -> _Namespace:
        if name in _FAMILIES:
            return _Namespace(self, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---- jobs
    def submit(self, job: Union[Json, "Command", "Task", Sequence[str]], **fields: Json) -> int:
        """Submits a job and returns its id, when it is on disk. `job` is a specification, a Command, a Task or a list of words."""
        spec = {**_spec(job), **fields}
        spec.setdefault("key", _new_key())
        return self.call("job.submit", job=spec)["id"]

    def submit_many(self, jobs: Optional[Iterable[Any]] = None, *, template: Any = None, items: Optional[Iterable[Json]] = None,
                    group: Optional[str] = None, marker: Optional[str] = None, key: Optional[str] = None) -> "Submitted":
        """Submits all or none: whole `jobs`, or one `template` for many `items`."""
        params: Dict[str, Any] = {"group": group, "marker": marker, "key": key or _new_key()}
        if jobs is not None:
            params["jobs"] = [_spec(each) for each in jobs]
        if template is not None:
            params["template"] = _spec(template)
        if items is not None:
            params["items"] = list(items)
        answer = self.call("job.submit_many", **{name: value for name, value in params.items() if value is not None})
        return Submitted(range(answer["first"], answer["first"] + answer["count"]), answer["group"])

    def run_job(self, job: Any, *, timeout: Optional[float] = None, output: bool = False, **fields: Json) -> Record:
        """Submits a job and waits for its end; after `timeout` the record of the unfinished job."""
        spec = {**_spec(job), **fields}
        spec.setdefault("key", _new_key())
        return self.call("job.run", job=spec, output=output, **({} if timeout is None else {"timeout": timeout}))

    def get(self, id: int) -> Record:
        return self.call("job.get", id=id)

    def list(self, **filters: Json) -> Iterator[Record]:
        """Records in the order of their ids, page by page."""
        while True:
            page = self.call("job.list", **filters)
            yield from page["jobs"]
            if "next" not in page:
                return
            filters["since_id"] = page["next"]

    def wait(self, ids: Optional[Iterable[int]] = None, *, group: Optional[str] = None, until: str = "all",
             timeout: Optional[float] = None) -> Waited:
        """Waits until `all`, the `first` or the `first_failure` has finished."""
        deadline = None if timeout is None else time.monotonic() + timeout
        params = _jobs(ids, group)
        while True:
            remaining = {} if deadline is None else {"timeout": max(0.0, deadline - time.monotonic())}
            answer = self.call("job.wait", until=until, **params, **remaining)
            if until != "all" or not answer["pending"] or deadline is not None:
                return Waited(answer["finished"], answer["pending"])

    def results(self, ids: Optional[Iterable[int]] = None, *, group: Optional[str] = None, since: Optional[int] = None,
                order: str = "completion", output: bool = False, timeout: Optional[float] = None) -> "Stream":
        """Records as their jobs end, or in the order of submission. Goes on where it was when the daemon is restarted."""
        params = {"since": since, "order": order, "output": output or None, "timeout": timeout, **_jobs(ids, group)}
        return Stream(self, "job.results", {name: value for name, value in params.items() if value is not None})

    def output(self, id: int, of: str = "stdout", *, attempt: Optional[int] = None) -> bytes:
        """All of a job's output that is kept."""
        pieces, offset = [], 0
        more = {} if attempt is None else {"attempt": attempt}
        while True:
            piece = self.call("job.output", id=id, of=of, offset=offset, limit=1 << 20, **more)
            pieces.append(_piece(piece))
            if piece["end"] or piece["next"] == offset and not piece["data"]:
                return b"".join(pieces)
            offset = piece["next"]

    def follow(self, id: int, of: str = "stdout") -> Iterator[bytes]:
        """A job's output as it is written, until it ends."""
        with Stream(self, "job.output", {"id": id, "of": of, "follow": True}) as stream:
            for piece in stream:
                yield _piece(piece)

    def events(self, kinds: Optional[Iterable[str]] = None, *, group: Optional[str] = None, since: Optional[int] = None) -> "Stream":
        """What happens: `job.submitted`, `job.started`, `job.finished`, …"""
        params = {"kinds": None if kinds is None else list(kinds), "group": group, "since": since}
        return Stream(self, "feed.subscribe", {name: value for name, value in params.items() if value is not None})

    def cancel(self, ids: Optional[Union[int, Iterable[int]]] = None, *, group: Optional[str] = None, force: bool = False) -> Json:
        """Cancels jobs; the answer says which never will start, which are stopping and which had finished."""
        return self.call("job.cancel", **_jobs([ids] if isinstance(ids, int) else ids, group), **({"force": True} if force else {}))


_FAMILIES = frozenset(["daemon", "rpc", "task", "job", "queue", "pool", "semaphore", "lock", "lease", "channel", "event", "schedule",
                       "feed", "stream"])


class Submitted(NamedTuple):
    """What `Client.submit_many` answers: the ids, without a gap, and their group."""

    ids: range
    group: str


class _Place:
    """Where a stream is: what to ask for to go on behind its last item."""

    def __init__(self, method: str, params: Dict[str, Any]):
        self._method = method
        self._params = dict(params)
        self._deadline = _deadline(params)
        self._seen: set = set()  # ids, where `since` cannot say what has been seen

    def params(self) -> Dict[str, Any]:
        return _in_time(self._params, self._deadline)

    def note(self, item: Json) -> bool:
        """False where the item has been handed out before."""
        if self._method == "feed.subscribe":
            self._params["since"] = item.get("number", self._params.get("since", 0))
        elif self._method == "job.output":
            self._params["offset"] = item["next"]
        elif self._method == "job.results" and ("ids" in self._params or self._params.get("order") == "submission"):
            if item["id"] in self._seen:
                return False
            self._seen.add(item["id"])
        elif self._method == "job.results":
            self._params["since"] = item["seq"]
        return True

    def done(self) -> bool:
        """True where every job that was named has been seen; the others are what is asked for next."""
        if self._method != "job.results" or "ids" not in self._params:
            return False
        self._params["ids"] = [each for each in self._params["ids"] if each not in self._seen]
        return not self._params["ids"]


class Stream:
    """The items of a streaming call, as they come. `close`, or leaving the `with`, ends it at the daemon too; `reason` says how it
    ended. When the connection breaks it goes on behind the last item."""

    def __init__(self, client: Client, method: str, params: Dict[str, Any]):
        self._client = client
        self._method = method
        self._place = _Place(method, params)
        self._received = _Items()
        self._link: Optional[_Link] = None
        self._closed = False
        self._lock = threading.Lock()
        self.reason: Optional[str] = None
        self._open()

    def _open(self) -> None:
        while True:
            link = self._client._live()
            received = _Items()
            call = _Call(received)
            try:
                link.request(self._method, _encode(self._place.params()), call)
                link.wait(call)
                _result(call.answer)
            except (ConnectionLost, Draining):
                # A draining daemon streams on; only one that goes away refuses.
                if self._client._closed or link.failure is None and not self._client._went_away(link):
                    raise
                continue
            self._link, self._received = link, received
            return

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Json:
        item = self.next()
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: Optional[float] = None) -> Optional[Json]:
        """The next item, None after the last one; TimeoutError where none comes in time."""
        while True:
            with self._lock:
                if self._received.items:
                    item = self._received.items.popleft()
                    if self._place.note(item):
                        return item
                    continue
                if self.reason is not None or self._closed:
                    return None
                end = self._received.end
                if end is not None and end["reason"] != "draining":
                    self.reason = end["reason"]
                    if end["reason"] == "error":
                        raise _rpc_error(end.get("error") or {})
                    return None
                link, received = self._link, self._received
            try:
                # After a `draining` nothing comes but the end of the connection.
                if link is not None and not link.wait(received if end is None else _Items(), timeout):
                    raise concurrent.futures.TimeoutError("no item came in time")
            except ConnectionLost:
                with self._lock:
                    if self._closed or self._client._closed:
                        raise
                    if self._link is link:
                        if self._place.done():
                            self.reason = "complete"
                        else:
                            self._open()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._link is not None:
                self._link.drop_stream(self._received)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if "_closed" in self.__dict__:
            self.close()


_DEPTH = 60  # the daemon's bound on nesting is 64, and a request is itself some levels deep


def _encode(value: Json) -> str:
    """JSON text; ValueError where the daemon could not decode it: then it could not say to whom its answer belongs."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    if text.count("[") + text.count("{") > _DEPTH and _depth(value) > _DEPTH + 2:
        raise ValueError(f"nested more than {_DEPTH} levels deep")
    return text


def _depth(value: Json) -> int:
    depth, level = 0, [value]
    while level and depth <= _DEPTH + 2:
        level = [inner for each in level if isinstance(each, (dict, list, tuple))
                 for inner in (each.values() if isinstance(each, dict) else each)]
        depth += 1
    return depth


def _result(answer: Optional[Dict[str, Any]]) -> Json:
    if answer is None or "error" in answer:
        raise _rpc_error((answer or {}).get("error") or {})
    return answer["result"]


def _deadline(params: Dict[str, Any]) -> Optional[float]:
    """When the `timeout` of a call has passed, however often it is made."""
    timeout = params.get("timeout")
    return time.monotonic() + timeout if isinstance(timeout, (int, float)) and timeout > 0 else None


def _in_time(params: Dict[str, Any], deadline: Optional[float]) -> Dict[str, Any]:
    """The params with what is left of their `timeout`."""
    return params if deadline is None else {**params, "timeout": max(0.0, deadline - time.monotonic())}


def _once_anyway(method: str, params: Dict[str, Any]) -> bool:
    """Whether the call itself says what would be twice."""
    if method == "job.input":
        return params.get("offset") is not None
    return bool(params.get("key") or isinstance(params.get("job"), dict) and params["job"].get("key"))


def _new_key() -> str:
    return "py-" + uuid.uuid4().hex


def _jobs(ids: Optional[Iterable[int]], group: Optional[str]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    if ids is not None:
        found["ids"] = [each.job_id if isinstance(each, Future) else each for each in ids]
    if group is not None:
        found["group"] = group
    return found


def _piece(chunk: Dict[str, Any]) -> bytes:
    """The bytes of an output, which stand in `data` as text or base64."""
    return base64.b64decode(chunk["data"]) if chunk.get("encoding") == "base64" else chunk["data"].encode()


_shared: Dict[Optional[str], Client] = {}  # by path; None: where the search leads
_shared_lock = threading.RLock()


def default_client(path: Optional[str] = None) -> Client:
    """The process's shared connection, which locks, queues and `run` use where they are given no other."""
    with _shared_lock:
        client = _shared.get(path)
        if client is None or client._closed:
            client = _shared[path] = Client(path)
        return client


def _drop_shared_clients() -> None:
    global _shared_lock
    _shared_lock = threading.RLock()
    _shared.clear()


def current_job() -> Optional[int]:
    """The id of the job that this code runs in, None outside of one."""
    return int(os.environ["STINT_JOB_ID"]) if os.environ.get("STINT_JOB_ID") else None


# ------------------------------------------------------------------------------------------------- commands and tasks


class Command:
    """A program as work for an Executor or Client. `args` is a list of words, or with `shell=True` a line for /bin/sh.

        executor.submit(stint.Command(["gzip", "-k"]), "a.log")          # further words are appended,
        executor.map(stint.Command(["convert", "{}", "-resize", "50%"]), pictures)   # or take the place of {}

    cwd and umask are the caller's, env is the caller's environment unless another is given. Other `fields` are those of a job:
    timeout, locks, priority, … The result is a CompletedProcess; with `check`, CalledProcessError where the exit code is not 0.
    """

    def __init__(self, args: Union[str, Sequence[Union[str, "os.PathLike[str]"]]], *, shell: bool = False, check: bool = False,
                 text: Optional[bool] = None, encoding: Optional[str] = None, errors: Optional[str] = None,
                 input: Optional[Union[str, bytes]] = None, cwd: Optional[Union[str, "os.PathLike[str]"]] = None,
                 env: Optional[Dict[str, str]] = None, **fields: Json):
        if isinstance(args, (str, bytes)) or hasattr(args, "__fspath__"):
            args = args if shell else [args]
        self.args: Any = os.fsdecode(args) if shell else [os.fsdecode(each) for each in args]
        if not self.args:
            raise ValueError("a command has at least one word")
        self.check = check
        self.encoding = encoding or ("utf-8" if text or errors else None)
        self.errors = errors or "strict"
        self.job: Dict[str, Any] = {"shell" if shell else "command": self.args, "cwd": os.path.abspath(cwd or os.getcwd()),
                                    "umask": _umask(), "env": _environment(env), "clean_env": True, **fields}
        if input is not None:
            self.job["stdin"] = _stdin(input.encode(self.encoding or "utf-8") if isinstance(input, str) else bytes(input))

    def __repr__(self) -> str:
        return f"stint.Command({self.args!r})"

    def __call__(self, *args: Any) -> "CompletedProcess":
        """Runs it and waits: what `executor.submit(command, …).result()` gives."""
        client = default_client()
        record = client.run_job(self.spec(*args), output=True)
        return self.completed(record, client)

    def spec(self, *args: Any) -> Dict[str, Any]:
        """The job for these further words."""
        if not args:
            return self.job
        words = [os.fsdecode(each) if isinstance(each, (bytes, os.PathLike)) else str(each) for each in args]
        if "shell" in self.job:
            raise TypeError("a shell line takes no further words: give it env={…} or a list of words instead")
        if len(words) == 1 and any("{}" in each for each in self.args):
            return {**self.job, "command": [each.replace("{}", words[0]) for each in self.args]}
        return {**self.job, "command": [*self.args, *words]}

    def completed(self, record: Record, client: Client) -> "CompletedProcess":
        """What became of it, as subprocess would tell it."""
        error = record.get("error") or {}
        args = record.get("command") or record.get("shell") or self.args
        if error.get("kind") == "spawn":
            raise _spawn_error(args, self.job["cwd"], record)
        streams = [_whole(record, name, client, self.encoding, self.errors) for name in ("stdout", "stderr")]
        outcome = record.get("outcome")
        if outcome == "timed_out":
            raise subprocess.TimeoutExpired(args, record.get("timeout", 0), *streams)
        if outcome not in ("succeeded", "failed") or "signal" not in record and "exit_code" not in record:
            raise _job_error(record)
        code = -record["signal"] if "signal" in record else record["exit_code"]
        if code and self.check:
            raise subprocess.CalledProcessError(code, args, *streams)
        return CompletedProcess(args, code, *streams, job_id=record["id"], client=client)


class CompletedProcess(subprocess.CompletedProcess):
    """A subprocess.CompletedProcess that knows its job: `job_id`, and `record`, which is asked for."""

    def __init__(self, args: Any, returncode: int, stdout: Any = None, stderr: Any = None, *, job_id: Optional[int] = None,
                 client: Optional[Client] = None):
        super().__init__(args, returncode, stdout, stderr)
        self.job_id = job_id
        self._path = None if client is None else client.path

    @property
    def record(self) -> Record:
        return {} if self.job_id is None else default_client(self._path).get(self.job_id)


class Task:
    """A task that is registered in the daemon, as work for an Executor or Client. Its result is JSON.

        executor.submit(stint.Task("sleep"), seconds=1)        # args {"seconds": 1}
        executor.map(stint.Task("digest", executor="thread"), ["/etc/passwd", "/etc/group"])

    A single argument is the task's `args`; keywords make them an object. Other `fields` are those of a job.
    """

    def __init__(self, name: str, **fields: Json):
        self.name = name
        self.job: Dict[str, Any] = {"task": name, **fields}

    def __repr__(self) -> str:
        return f"stint.Task({self.name!r})"

    def __call__(self, *args: Json, **kwargs: Json) -> Json:
        """Runs it and waits: what `executor.submit(task, …).result()` gives."""
        client = default_client()
        record = client.run_job(self.spec(*args, **kwargs))
        if record.get("outcome") != "succeeded":
            raise _job_error(record)
        return record["result"] if "result" in record else client.call("job.spec", id=record["id"]).get("result")

    def spec(self, *args: Json, **kwargs: Json) -> Dict[str, Any]:
        if len(args) + bool(kwargs) > 1:
            raise TypeError(f"task {self.name!r} takes one argument, or keywords: a list of several goes in as one list")
        if args or kwargs:
            return {**self.job, "args": args[0] if args else kwargs}
        return self.job


def _spec(work: Any) -> Dict[str, Any]:
    """The specification of a job."""
    if isinstance(work, dict):
        return work
    if isinstance(work, (Command, Task)):
        return work.spec()
    if isinstance(work, (list, tuple)):
        return Command(work).spec()
    raise TypeError(f"{work!r} is no job: a dict, a stint.Command, a stint.Task or a list of words is")


def _environment(env: Optional[Dict[str, str]]) -> Dict[str, str]:
    """What a program is to find: the caller's own environment, less what belongs to the job that the caller may run in."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("STINT_")} if env is None else dict(env)
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("env is a mapping of str to str")
    return found


def _umask() -> str:
    """The caller's umask, as text in octal; reading it by os.umask would change it for other threads."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return line.split()[1]
    return "077"


def _stdin(data: bytes) -> Json:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _whole(record: Record, name: str, client: Client, encoding: Optional[str], errors: str) -> Any:
    """A stream's kept bytes, or text; None where it was not captured."""
    about = record.get(name)
    if not isinstance(about, dict) or "bytes" not in about:
        return None
    data = _piece(about) if "data" in about else client.output(record["id"], name)
    if encoding is None:
        return data
    return io.TextIOWrapper(io.BytesIO(data), encoding, errors).read()  # universal newlines, as subprocess has them


# What the daemon says of a program in words of its own, where it does not end with those of the errno.
_SPAWN_WORDS = {errno.ENOEXEC: "it is no program and has no #! line", errno.E2BIG: "too long together",
                errno.EACCES: "in PATH may not be executed"}
_NOT_FOUND = 127  # the exit code, as in a shell


def _spawn_error(args: Any, cwd: str, record: Record) -> Exception:
    """The OSError that subprocess would have raised; its cause has the daemon's own words."""
    cause = JobFailed(record)
    message = record["error"].get("message", "")
    number = next((each for each in errno.errorcode if message.endswith((os.strerror(each), _SPAWN_WORDS.get(each, "\0")))), None)
    if number is None:
        if record.get("exit_code") != _NOT_FOUND:
            return cause
        number = errno.ENOENT
    if message.startswith("cannot open"):  # a file that the job names as its input or output
        error = OSError(number, message)
    else:
        no_directory = message.startswith("cannot enter the directory")
        error = OSError(number, os.strerror(number), cwd if no_directory or isinstance(args, str) else args[0])
    error.__cause__ = cause
    return error


def run(args: Union[str, Sequence[Union[str, "os.PathLike[str]"]]], *, stdin: Any = None, input: Optional[Union[str, bytes]] = None,
        stdout: Any = None, stderr: Any = None, capture_output: bool = False, shell: bool = False, text: Optional[bool] = None,
        encoding: Optional[str] = None, errors: Optional[str] = None, universal_newlines: Optional[bool] = None,
        timeout: Optional[float] = None, check: bool = False, cwd: Optional[Union[str, "os.PathLike[str]"]] = None,
        env: Optional[Dict[str, str]] = None, client: Optional[Client] = None, **fields: Json) -> CompletedProcess:
    """subprocess.run, as a job: the same arguments, the same CompletedProcess, the same TimeoutExpired, CalledProcessError and
    FileNotFoundError. Other `fields` are those of a job (name, locks, priority…).

    Differences: standard input is empty where none is given; `timeout` counts from the program's start, not while it is queued; at
    the timeout its whole process tree is killed; output that is not captured passes through this process as it is written.
    """
    if capture_output:
        if stdout is not None or stderr is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        stdout = stderr = PIPE
    if input is not None and stdin is not None:
        raise ValueError("stdin and input arguments may not both be used.")
    if stdin not in (None, DEVNULL):
        if stdin == PIPE:
            raise ValueError("stdin=PIPE makes no sense here: there is no process to write to; use input=")
        input = os.fdopen(os.dup(stdin if isinstance(stdin, int) else stdin.fileno()), "rb").read()
    sinks: Dict[str, int] = {}
    for name, target, own in (("stdout", stdout, 1), ("stderr", stderr, 2)):
        if target == DEVNULL:
            fields[name] = "null"
        elif target == STDOUT:
            if name == "stdout":
                raise ValueError("stdout=STDOUT: that is for stderr")
            fields[name] = "stdout"
        elif target != PIPE:
            sinks[name] = own if target is None else target if isinstance(target, int) else target.fileno()
    if timeout is not None:
        fields.update(timeout=max(timeout, 0.001), grace=0)
    fields.setdefault("output_limit", 1 << 30)
    command = Command(args, shell=shell, check=check, text=text or universal_newlines, encoding=encoding, errors=errors, input=input,
                      cwd=cwd, env=env, **fields)
    client = client or default_client()
    job = client.submit(command)
    copies = [threading.Thread(target=_copy, args=(client, job, name, sink), daemon=True) for name, sink in sinks.items()]
    try:
        for each in copies:
            each.start()
        with client.results(ids=[job], output=True) as results:
            record: Record = next(results)
        for each in copies:
            each.join()
    except BaseException:
        client.cancel(job, force=True)
        raise
    for name in sinks:
        record.pop(name, None)
    try:
        return command.completed(record, client)
    except subprocess.TimeoutExpired as expired:
        expired.timeout = timeout
        raise


def _copy(client: Client, job: int, of: str, sink: int) -> None:
    """A job's output to a file descriptor, as it is written."""
    with contextlib.suppress(BrokenPipeError):
        for data in client.follow(job, of):
            while data:
                data = data[os.write(sink, data):]


# --------------------------------------------------------------------------------------------------------- executor

_NOTHING = object()
_BATCH_JOBS = 5_000
_BATCH_BYTES = 4 << 20  # of pickles in one request; a line of the protocol has 16 MiB
# What a future needs to know of a finished job: the rest is asked for when somebody asks.
_FIELDS = '["outcome","result","error","exit_code","signal","stdout","stderr"]'

_RAISED = "exception"  # the `kind` of the error where a function raised something
_BROKEN = "A process in the process pool was terminated abruptly while the future was running or pending."

# The worker's own messages leave descriptor 1 before the interpreter starts: what anything prints goes to the job's output.
_WORKER = ["/bin/sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2']
_WORKER_CODE = ("import json, os, sys; setup = json.loads(os.environ.pop('STINT_PYTHON')); sys.path[:] = setup['path']; "
                "import {module}; {module}._work(setup)")


class _Condition(threading.Condition):
    """A threading.Condition that costs little: the futures of one executor share its lock, through a class of their own, so that
    taking the lock is the lock's own method and making a condition makes an empty object."""

    _waiters: Any = ()
    __init__ = object.__init__  # type: ignore[assignment]

    @staticmethod
    def sharing(lock: Any) -> type:
        names = ("acquire", "release", "__enter__", "__exit__", "_release_save", "_acquire_restore", "_is_owned")
        return type("_Condition", (_Condition,), {"_lock": lock, **{name: getattr(lock, name) for name in names}})

    def wait(self, timeout: Optional[float] = None) -> bool:
        if not self._waiters:
            self._waiters = collections.deque()
        return super().wait(timeout)

    def notify_all(self) -> None:
        if self._waiters:
            super().notify_all()


# What a future of this Python consists of: where it is as expected, ours is made with the cheaper condition.
_LEAN = set(vars(concurrent.futures.Future())) == {"_condition", "_state", "_result", "_exception", "_waiters", "_done_callbacks"}


class Future(concurrent.futures.Future):
    """A concurrent.futures.Future of a job. `job_id` and `record` are the job's, the record when it has finished."""

    _sent = False
    _dropped = False
    job_id: Optional[int] = None
    _record: Optional[Record] = None

    def __init__(self, engine: "_Engine", template: Optional["_Template"] = None, item: Any = _NOTHING):
        if _LEAN:
            self._condition = engine.future_condition()
            self._state = "PENDING"
            self._result = None
            self._exception = None
            self._waiters = []
            self._done_callbacks = []
        else:
            super().__init__()
        self._engine = engine
        self._template: Any = template
        self._item = item

    def cancel(self) -> bool:
        """Cancels the job if it has not started; False where it runs or has ended."""
        return self._engine.cancel(self)

    def running(self) -> bool:
        """Whether the job runs at this moment: the daemon is asked."""
        if self.done() or self.job_id is None:
            return False
        with contextlib.suppress(RpcError, ConnectionLost):
            return self.record.get("state") == "running" and not self.done()
        return False

    def stop(self, *, force: bool = False) -> None:
        """Tells the job to stop, also while it runs (SIGTERM, or `force`: SIGKILL); it ends as cancelled."""
        if not self.cancel() and self.job_id is not None and not self.done():
            self._engine.client.cancel(self.job_id, force=force)

    @property
    def record(self) -> Record:
        """The job's record as it is now; asked for until it has finished."""
        if self._record is None or self._record.get("state") != "finished":
            if self.job_id is None:
                return {}
            with self._engine.reader() as client:
                self._record = client.get(self.job_id)
        return self._record

    @property
    def output(self) -> str:
        """What the function has printed (a program: its standard error), up to now."""
        if self.job_id is None:
            return ""
        with self._engine.reader() as client:
            return client.output(self.job_id, "stderr").decode("utf-8", "replace")

    def result(self, timeout: Optional[float] = None) -> Any:
        if self._state == "FINISHED" and self._exception is None:
            return self._result
        return super().result(timeout)

    def _give(self, value: Any) -> None:
        """Its result, unless it was cancelled in the same moment: set_result in short."""
        if not _LEAN:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self.set_result(value)
            return
        with self._condition:
            if self._state != "PENDING":
                return
            self._result = value
            self._state = "FINISHED"
            for waiter in self._waiters:
                waiter.add_result(self)
            if self._condition._waiters:
                self._condition.notify_all()
        if self._done_callbacks:
            self._invoke_callbacks()

    def _fail(self, error: BaseException) -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_exception(error)

    def _mark_cancelled(self) -> bool:
        """It never ran: tells those who wait for it, once."""
        with self._condition:
            if self._state == "FINISHED":
                return False
            first, self._cancel_told = not getattr(self, "_cancel_told", False), True
        if first:
            super().cancel()
            self.set_running_or_notify_cancel()
        return True


class _Template:
    """One kind of work: what its jobs have in common, as JSON text, and how to read a result."""

    encode = staticmethod(_encode)

    def __init__(self, job: Dict[str, Any], items: bool):
        self.text = _encode(job)
        self.items = items  # an item a job; otherwise `_item` is the whole specification
        self.durable = job.get("durable", True)

    def request(self, futures: Sequence[Future]) -> str:
        """The part of job.submit_many's params that says what the jobs are."""
        if self.items and futures[0]._item is _NOTHING:
            return '"jobs":[' + ",".join([self.text] * len(futures)) + "]"
        items = self.encode([each._item for each in futures])
        return f'"template":{self.text},"items":{items}' if self.items else f'"jobs":{items}'

    def value(self, record: Record, future: Future) -> Any:
        """What the future is to give, or raises what it is to raise. The record has the fields of _FIELDS."""
        raise NotImplementedError

    def is_whole(self, record: Record) -> bool:
        """Whether the record has all that `value` needs: what is large does not travel with it."""
        return record["outcome"] != "succeeded" or "result" in record


class _TaskTemplate(_Template):
    def value(self, record: Record, future: Future) -> Any:
        if record["outcome"] != "succeeded":
            raise _job_error({**json.loads(self.text), **record})
        return record["result"]


class _CommandTemplate(_Template):
    def __init__(self, job: Dict[str, Any], command: Command):
        super().__init__(job, items=False)
        self.command = command

    def value(self, record: Record, future: Future) -> Any:
        return self.command.completed({**future._item, **record}, future._engine.client)

    def is_whole(self, record: Record) -> bool:
        return True


class _FunctionTemplate(_Template):
    encode = staticmethod(functools.partial(json.dumps, separators=(",", ":")))

    def value(self, record: Record, future: Future) -> Any:
        if record["outcome"] == "succeeded":
            result = record["result"]
            return _unpickled(result["pickle"]) if "pickle" in result else result.get("value")
        error = record.get("error") or {}
        data = error.get("data") or {}
        if error.get("kind") != _RAISED:
            if record["outcome"] == "failed":
                future._engine.worker_died(record)
            raise _job_error({"name": future._item["function"], **record})
        if data.get("initializer"):
            why = f"the initializer of the workers failed: {error.get('message')}"
            future._engine.break_down(why)
            raise BrokenProcessPool(why) from _remote_exception(data, record)
        raise _remote_exception(data, record)

    def is_whole(self, record: Record) -> bool:
        return super().is_whole(record) and ((record.get("error") or {}).get("kind") != _RAISED or "data" in record["error"])


def _remote_exception(data: Dict[str, Any], record: Record) -> BaseException:
    """The exception that a function raised, with the worker's traceback as its cause."""
    try:
        error = _unpickled(data["pickle"])
        if not isinstance(error, BaseException):
            raise TypeError("not an exception")
    except Exception:  # it cannot be carried: what it said must do
        error = JobFailed(record)
    error.__cause__ = RemoteTraceback(data["traceback"])
    return error


class _Engine(_Receiver):
    """What an Executor has at work: its connection, what is to be sent, and the futures that wait. It lives as long as they do.

    Whoever submits sends, if no request is unanswered; otherwise what piles up goes out with the answer, as one request. One thread,
    begun with the first job, reads results from one stream. Lock order: this lock, then a future's, then the link's.
    """

    def __init__(self, client: Client, size: int, initializer: Optional[Callable[..., Any]], initargs: Tuple[Any, ...],
                 max_tasks: Optional[int], replace_workers: bool, fields: Dict[str, Json]):
        self.client = client
        self.pid = os.getpid()
        self.group = f"python-{self.pid}-{uuid.uuid4().hex[:12]}"
        self._size = size
        self._initializer = initializer
        self._initargs = initargs
        self._max_tasks = max_tasks
        self._replace_workers = replace_workers
        self._fields = fields
        self.future_condition = _Condition.sharing(threading.RLock())
        self._lock = threading.RLock()  # a collected executor may shut down inside of anything
        self._answered = threading.Condition(self._lock)
        self._pending: Deque[Future] = collections.deque()
        self._flight: Dict[int, Tuple[str, Any]] = {}  # request → what it is, and for whom
        self._sending = 0  # submits that are not answered
        self._futures: Dict[int, Future] = {}
        self._early: Dict[int, Record] = {}  # results that overtook the answer to their submit
        self._events: Deque[Any] = collections.deque()
        self._refusals: Deque[Tuple[Future, Exception]] = collections.deque()  # what cannot even be sent
        self._stream_open = False
        self._barren = 0  # streams in a row that ended without an item
        self._since = 0
        self._function: Optional[_FunctionTemplate] = None
        self._thread: Optional[threading.Thread] = None
        self._shut = False
        self._broken: Optional[str] = None
        self.stream = self
        self.on_item = self._events.append
        _engines.add(self)

    # ---- on the link's side
    def ready(self) -> bool:
        return bool(self._events)

    def on_answer(self, number: int, message: Dict[str, Any]) -> None:
        self._events.append((number, message))

    def on_end(self, end: Dict[str, Any]) -> None:
        self._events.append((0, end))

    @contextlib.contextmanager
    def reader(self) -> Iterator[Client]:
        """A connection for questions about jobs, also when the executor's own has ended."""
        if self.client._closed or self.client._link.failure is not None:
            yield default_client(self.client.path)
        else:
            yield self.client

    # ---- templates
    def task(self, task: Task) -> _Template:
        owner, template = task.__dict__.get("_template", (None, None))
        if owner is not self:
            template = _TaskTemplate({**self._fields, **task.job}, items=True)
            task.__dict__["_template"] = (self, template)
        return template

    def command(self, command: Command) -> _Template:
        owner, template = command.__dict__.get("_template", (None, None))
        if owner is not self:
            template = _CommandTemplate({}, command)
            template.durable = {**self._fields, **command.job}.get("durable", True)
            command.__dict__["_template"] = (self, template)
        return template

    def function(self) -> _Template:
        """The pool of this interpreter, set with the first function."""
        if self._function is None:
            with self._lock:
                if self._function is None:
                    job = {"durable": False, **self._fields, "pool": self.group}
                    self._set_pool()
                    self._function = _FunctionTemplate(job, items=True)
        return self._function

    def _set_pool(self) -> None:
        module = _FunctionTemplate.__module__
        home = os.path.dirname(os.path.abspath(__file__))
        setup = {"path": [os.path.abspath(each) if each else os.getcwd() for each in sys.path] + [home], "argv": sys.argv,
                 "main": _main_module(), "line_bytes_max": self.client.info["bounds"]["pool_answer_bytes_max"]}
        if "multiprocessing.process" in sys.modules:  # its managers talk to those who know its key
            key = bytes(sys.modules["multiprocessing.process"].current_process().authkey)
            setup["authkey"] = base64.b64encode(key).decode("ascii")
        if self._initializer is not None:
            setup["initializer"] = _pickled_call(self._initializer, self._initargs, {})
        env = {**_environment(None), "STINT_PYTHON": _encode(setup)}
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        pool = {"name": self.group, "command": [*_WORKER, sys.executable, *flags, "-c", _WORKER_CODE.format(module=module)],
                "size": self._size, "cwd": os.getcwd(), "env": env, "bind": "connection"}
        if self._max_tasks is not None:
            pool["max_jobs"] = self._max_tasks
        self.client.call("pool.set", **pool)

    # ---- submitting
    def submit(self, template: _Template, item: Any) -> Future:
        future = Future(self, template, item)
        with self._lock:
            if self._shut or self._broken is not None or _exiting or self.pid != os.getpid():
                self.refuse_new()
            self._pending.append(future)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"stint-{self.group}", daemon=True)
                self._thread.start()
            if self._sending:
                return future
            calls = self._take()
        self._send(calls)
        return future

    def refuse_new(self) -> None:
        if self.pid != os.getpid():
            raise RuntimeError("this executor was made before a fork: the child must make its own")
        if self._broken is not None:
            raise BrokenProcessPool(self._broken)
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _take(self) -> List[Tuple[int, str, str]]:
        """Under the lock: requests for what is pending, in its order, one for each run of the same kind of work."""
        calls: List[Tuple[int, str, str]] = []
        while self._pending and not calls:  # a batch may come to nothing
            self._take_batch(calls)
        if calls and not self._stream_open:
            calls.append(self._results())
        return calls

    def _take_batch(self, calls: List[Tuple[int, str, str]]) -> None:
        batch: List[Future] = []
        size = 0
        while self._pending and len(batch) < _BATCH_JOBS and size < _BATCH_BYTES:
            future = self._pending.popleft()
            if future._dropped:
                continue
            future._sent = True
            batch.append(future)
            if type(future._item) is dict:
                size += len(future._item.get("pickle", ""))
        for (template, bare), futures in itertools.groupby(batch, key=lambda each: (each._template, each._item is _NOTHING)):
            self._add_calls(template, list(futures), calls)

    def _add_calls(self, template: _Template, futures: List[Future], calls: List[Tuple[int, str, str]]) -> None:
        try:
            text = template.request(futures)
            bound = self.client.info.get("bounds", {}).get("line_bytes_max", 16 << 20)
            if len(text) + 4096 > bound:
                raise ValueError(f"a job of {len(text)} bytes is more than a line of the protocol may have ({bound})")
        except Exception as error:
            if len(futures) == 1:
                self._refusals.append((futures[0], error))
            else:  # one of them is to blame: the others are not
                half = len(futures) // 2
                self._add_calls(template, futures[:half], calls)
                self._add_calls(template, futures[half:], calls)
            return
        number = self.client._link.numbers(1)[0]
        params = f'{{"group":"{self.group}","key":"{_new_key()}",{text}}}'
        self._flight[number] = ("submit", (futures, params))
        self._sending += 1
        calls.append((number, "job.submit_many", params))

    def _results(self) -> Tuple[int, str, str]:
        number = self.client._link.numbers(1)[0]
        self._flight[number] = ("stream", None)
        self._stream_open = True
        return (number, "job.results", f'{{"group":"{self.group}","since":{self._since},"output":true,"fields":{_FIELDS}}}')

    def _send(self, calls: List[Tuple[int, str, str]]) -> None:
        """Not under the lock: callbacks may run."""
        while self._refusals:
            with contextlib.suppress(IndexError):
                future, error = self._refusals.popleft()
                future._fail(error)
        if calls:
            with contextlib.suppress(ConnectionLost):  # the engine's thread sees it, too, and sends them again
                self.client._link.send(calls, self)

    # ---- the thread
    def _run(self) -> None:
        try:
            while not self._finished():
                try:
                    self._step()
                except ConnectionLost as lost:
                    if self._finished():
                        break
                    self._recover(lost)
        except BaseException as error:  # whatever it is, nobody may wait for ever
            self.break_down(f"the connection to the daemon was lost: {error}", error)
        finally:
            self.client.close()

    def _finished(self) -> bool:
        with self._lock:
            return (self._shut or self._broken is not None) and not (self._pending or self._flight or self._futures or self._events)

    def _step(self) -> None:
        """Waits for something, and takes in all that is there."""
        if not self._events:
            self.client._link.wait(self)
        events, futures = self._events, self._futures
        for _ in range(len(events)):
            try:
                event = events.popleft()
            except IndexError:  # a callback has waited in here itself
                return
            if type(event) is dict:
                self._barren = 0
                self._since = event["seq"]
                future = futures.pop(event["id"], None)
                if future is None:
                    self._early[event["id"]] = event
                elif event["outcome"] == "succeeded" and type(future._template) is _TaskTemplate and "result" in event:
                    future._give(event["result"])  # nearly always: in short
                else:
                    self._finish(future, event)
            else:
                number, message = event
                if number == 0:
                    self._on_stream_end()
                elif number in self._flight:
                    self._on_answer(number, message)

    def _finish(self, future: Future, record: Record) -> None:
        if not future._template.is_whole(record):
            self._ask_whole(future, record)
            return
        if record["outcome"] == "cancelled":
            future._mark_cancelled()
            return
        try:
            value = future._template.value(record, future)
        except BaseException as error:
            future._fail(error)
        else:
            future._give(value)

    def _ask_whole(self, future: Future, record: Record) -> None:
        """A large result, or what a function raised, does not travel with its record."""
        number = self.client._link.numbers(1)[0]
        self._flight[number] = ("result", (future, record))
        self._send([(number, "job.spec", f'{{"id":{record["id"]}}}')])

    def _on_answer(self, number: int, message: Dict[str, Any]) -> None:
        what, about = self._flight.pop(number)
        error = message.get("error")
        if what == "submit":
            futures, _ = about
            if error is None:
                self._taken(futures, message["result"]["first"])
            else:
                self._refused(futures, _rpc_error(error))
            with self._lock:
                self._sending -= 1
                calls = self._take() if self._pending and not self._sending else []
                self._answered.notify_all()
            self._send(calls)
        elif what == "stream":
            if error is not None:
                self._stream_open = False
                if self._futures:
                    self._audit()
        else:
            future, record = about
            if error is not None:
                future._fail(_rpc_error(error))
            else:
                whole = message["result"]
                self._finish(future, {**record, "result": whole.get("result"), "error": whole.get("error", record.get("error"))})

    def _taken(self, futures: List[Future], first: int) -> None:
        ids = range(first, first + len(futures))
        for number, future in zip(ids, futures):
            future.job_id = number
        self._futures.update(zip(ids, futures))
        if self._early:
            for number in ids:
                record = self._early.pop(number, None)
                if record is not None:
                    self._finish(self._futures.pop(number), record)

    def _refused(self, futures: List[Future], error: RpcError) -> None:
        """All or none were taken: the blame for a bad job must not fall on its neighbours."""
        if len(futures) == 1 or not isinstance(error, (InvalidParams, LimitExceeded, NotFound)):
            for future in futures:
                future._fail(error)
            return
        half = len(futures) // 2
        calls: List[Tuple[int, str, str]] = []
        with self._lock:
            self._add_calls(futures[0]._template, futures[:half], calls)
            self._add_calls(futures[0]._template, futures[half:], calls)
            if not self._stream_open:
                calls.append(self._results())
        self._send(calls)

    def _on_stream_end(self) -> None:
        """It ends whenever no job is left; those that were submitted meanwhile want another."""
        self._stream_open = False
        if not self._futures and not self._sending:
            return
        self._barren += 1
        if self._barren > 2 and not self._sending:
            self._audit()
        if self._futures or self._sending:
            with self._lock:
                calls = [self._results()]
            self._send(calls)

    def _audit(self) -> None:
        """The stream says that nothing is left, and futures are: somebody has dropped their records, or they are lost."""
        self._barren = 0
        for number, future in list(self._futures.items()):
            try:
                record = self.client.get(number)
            except RpcError as error:
                if self._futures.pop(number, None) is not None:
                    future._fail(error)
            else:
                if record["state"] == "finished" and self._futures.pop(number, None) is not None:
                    self._finish(future, record)

    def _recover(self, lost: ConnectionLost) -> None:
        """Another connection, maybe to another life of the daemon: what may have been lost is sent again under the same key."""
        if self._function is not None:
            self.break_down(f"the connection to the daemon was lost, and the pool with it: {lost}", lost)
            return
        before = self.client.instance
        link = self.client._live()
        with self._lock:
            self._events.clear()
            self._stream_open = False
            flight, self._flight, self._sending = self._flight, {}, 0
            calls: List[Tuple[int, str, str]] = []
            for what, about in flight.values():
                fresh = link.numbers(1)[0]
                if what == "submit":
                    self._flight[fresh] = (what, about)
                    self._sending += 1
                    calls.append((fresh, "job.submit_many", about[1]))
                elif what == "result":
                    self._flight[fresh] = (what, about)
                    calls.append((fresh, "job.spec", f'{{"id":{about[1]["id"]}}}'))
            gone = [] if self.client.instance == before else [each for each in self._futures.values() if not each._template.durable]
            for future in gone:
                self._futures.pop(future.job_id or 0, None)
            if self._futures or self._sending:
                calls.append(self._results())
            elif self._pending:
                calls += self._take()
        self._send(calls)
        for future in gone:
            future._fail(JobLost({"id": future.job_id, "outcome": "lost",
                                  "error": {"kind": "restarted", "message": "the daemon was restarted, and the job was not durable"}}))

    # ---- its end
    def worker_died(self, record: Record) -> None:
        """A worker of the pool ended in the middle of a function: raises what its future gets."""
        message = (record.get("error") or {}).get("message", "")
        if not self._replace_workers:
            self.break_down(f"{_BROKEN} (job {record.get('id')}: {message})")
        raise BrokenProcessPool(f"{_BROKEN} (job {record.get('id')}: {message})")

    def break_down(self, why: str, cause: Optional[BaseException] = None) -> None:
        """Nothing more can come: every future that waits fails, and so does every later submit."""
        with self._lock:
            if self._broken is not None:
                return
            self._broken = why
            futures = [*self._futures.values(), *(each for each in self._pending if not each._dropped)]
            for what, about in self._flight.values():
                futures += about[0] if what == "submit" else [about[0]] if about else []
            self._pending.clear()
            self._futures.clear()
            self._flight.clear()
            self._sending = 0
            self._answered.notify_all()
        for future in futures:
            error = BrokenProcessPool(why)
            error.__cause__ = cause
            future._fail(error)
        self.client.close()

    def shutdown(self, wait: bool, cancel_futures: bool) -> None:
        with self._lock:
            self._shut = True
            thread = self._thread
            dropped = [each for each in self._pending if not each._dropped] if cancel_futures else []
            for each in dropped:
                each._dropped = True
            if cancel_futures:
                self._pending.clear()
            idle = not (self._pending or self._flight or self._futures or self._events)
        for each in dropped:
            each._mark_cancelled()
        if cancel_futures and not idle and self._broken is None:
            self._cancel_queued()
        if idle or thread is None:
            self.client.close()  # wakes the thread, which finds that it is done
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def _cancel_queued(self) -> None:
        """Whatever has not started never will."""
        with self._lock:
            while self._sending and self._broken is None and threading.current_thread() is not self._thread:
                self._answered.wait()
        with contextlib.suppress(RpcError, ConnectionLost):
            answer = self.client.call("job.cancel", group=self.group, running=False)
            for number in answer["cancelled"]:
                future = self._futures.get(number)
                if future is not None:
                    future._mark_cancelled()

    def cancel(self, future: Future) -> bool:
        with self._lock:
            if future.done():
                return future.cancelled()
            mine = not future._sent
            future._dropped = future._dropped or mine
        if mine:
            return future._mark_cancelled()
        if threading.current_thread() is self._thread:
            while future.job_id is None and not future.done():
                self._step()
        else:
            with self._lock:
                while future.job_id is None and not future.done() and self._broken is None:
                    self._answered.wait()
        if future.done():
            return future.cancelled()
        with contextlib.suppress(RpcError, ConnectionLost):
            if future.job_id in self.client.call("job.cancel", ids=[future.job_id], running=False)["cancelled"]:
                return future._mark_cancelled()
        return future.cancelled()


_engines: "weakref.WeakSet[_Engine]" = weakref.WeakSet()
_exiting = False
_working = False  # in a worker that is still importing the main module


def _at_exit() -> None:
    """As concurrent.futures: what has been submitted is waited for. Then nothing may be left that nobody can name."""
    global _exiting
    _exiting = True
    for engine in list(_engines):
        if engine.pid == os.getpid():
            engine.shutdown(wait=True, cancel_futures=False)
    for name in list(_unnamed):
        _drop_unnamed(name)
    for link in list(_links):
        link.flush()


atexit.register(_at_exit)


class Executor(concurrent.futures.Executor):
    """A concurrent.futures.Executor whose work is done by the daemon: functions, tasks, programs.

        with stint.Executor(max_workers=4) as executor:
            futures = [executor.submit(work, item) for item in items]      # an importable function
            for future in concurrent.futures.as_completed(futures): ...
            executor.submit(stint.Task("digest"), "/etc/passwd")           # a task of the daemon
            executor.submit(["make", "-C", directory])                     # a program

    Functions run as with ProcessPoolExecutor: in `max_workers` processes of this interpreter, with its path, directory and
    environment, each set up by `initializer(*initargs)` and replaced after `max_tasks_per_child` functions. Function, arguments and
    result are pickled, the script is imported (so it needs `if __name__ == "__main__":`), and a worker that dies breaks the
    executor, unless `replace_workers` says that only its own future shall fail. What a function prints is its future's `output`.

    Other `fields` are laid under every job: queue, priority, durable, locks, … Functions are not durable unless they say so.
    """

    def __init__(self, max_workers: Optional[int] = None, *, initializer: Optional[Callable[..., Any]] = None,
                 initargs: Tuple[Any, ...] = (), max_tasks_per_child: Optional[int] = None, replace_workers: bool = False,
                 socket: Optional[Union[str, "os.PathLike[str]"]] = None, client: Optional[Client] = None, **fields: Json):
        if max_workers is not None:
            if not isinstance(max_workers, int) or isinstance(max_workers, bool):
                raise TypeError("max_workers must be an integer")
            if max_workers <= 0:
                raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        if _working:
            raise RuntimeError("an executor is made while a worker imports the main module: guard the program's start with "
                               "if __name__ == \"__main__\":")
        if _exiting:
            raise RuntimeError("cannot make an executor after interpreter shutdown")
        _encode(fields)  # what is no field of a job, such as an mp_context, is told here
        connection = Client(socket if client is None else client.path)
        most = connection.info["bounds"]["pool_size_max"]
        if max_workers is None:
            max_workers = min(len(os.sched_getaffinity(0)), most)
        elif max_workers > most:
            connection.close()
            raise ValueError(f"max_workers must be <= {most}, the bound of a pool")
        self._max_workers = max_workers
        self._engine = _Engine(connection, max_workers, initializer, tuple(initargs), max_tasks_per_child, replace_workers, fields)
        # A dropped executor lets its futures end and then lets go of everything, as those of the standard library do.
        self._finalizer = weakref.finalize(self, self._engine.shutdown, False, False)
        self._finalizer.atexit = False

    def __reduce__(self) -> Any:
        raise TypeError("a stint.Executor cannot be pickled: a connection belongs to its process")

    @property
    def group(self) -> str:
        """The group of its jobs: `stint list --group`."""
        return self._engine.group

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        """Schedules a function, a Task, a Command or a list of words; never waits for the daemon to do it."""
        engine = self._engine
        if isinstance(fn, Task):
            item: Any = args[0] if args else _NOTHING
            if kwargs or len(args) > 1:
                item = fn.spec(*args, **kwargs)["args"]
            return engine.submit(engine.task(fn), item)
        if isinstance(fn, (list, tuple)):
            fn = Command(fn)
        if isinstance(fn, Command):
            if kwargs:
                raise TypeError("a command takes words only")
            return engine.submit(engine.command(fn), {**engine._fields, **fn.spec(*args)})
        if not callable(fn):
            raise TypeError(f"{fn!r} is no work: a function, a stint.Task, a stint.Command or a list of words is")
        engine.refuse_new()
        try:
            item = {"function": _name_of(fn), "pickle": _pickled_call(fn, args, kwargs)}
        except Exception as error:
            future = Future(engine)
            future.set_exception(error)
            return future
        return engine.submit(engine.function(), item)

    def map(self, fn: Any, *iterables: Iterable[Any], timeout: Optional[float] = None, chunksize: int = 1) -> Iterator[Any]:
        """Results in the order of the items, as they are asked for. A function gets `chunksize` items at a time."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1 or isinstance(fn, (Task, Command, list, tuple)):
            fn = Command(fn) if isinstance(fn, (list, tuple)) else fn
            return super().map(fn, *iterables, timeout=timeout)
        return _flattened(super().map(functools.partial(_run_chunk, fn), _chunks(zip(*iterables), chunksize), timeout=timeout))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more work; `wait` for what there is, or with `cancel_futures` for what has begun."""
        if self._engine.pid != os.getpid():
            return
        self._engine.shutdown(wait, cancel_futures)


def _chunks(items: Iterable[Any], size: int) -> Iterator[Tuple[Any, ...]]:
    iterator = iter(items)
    while True:
        chunk = tuple(itertools.islice(iterator, size))
        if not chunk:
            return
        yield chunk


def _run_chunk(fn: Callable[..., Any], chunk: Iterable[Tuple[Any, ...]]) -> List[Any]:
    return [fn(*args) for args in chunk]


def _flattened(lists: Iterator[List[Any]]) -> Iterator[Any]:
    for each in lists:
        each.reverse()
        while each:
            yield each.pop()  # what has been handed out is not kept


def _name_of(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.args[0] if fn.func is _run_chunk and fn.args else fn.func
    return f"{getattr(fn, '__module__', None) or type(fn).__module__}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"


def _pickled(value: Any, fn: Any) -> str:
    try:
        return base64.b64encode(pickle.dumps(value, _PICKLE_PROTOCOL)).decode("ascii")
    except Exception as error:
        name = _name_of(fn)
        if "<lambda>" in name or "<locals>" in name:
            raise pickle.PicklingError(f"{name} cannot run in another process: a worker imports the function by its name, and a "
                                       "lambda or an inner function has none; define it at the top of a module") from error
        raise


def _pickled_call(fn: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> str:
    text, name = _pickled((fn, args, kwargs), fn), _name_of(fn)
    if name.startswith("__main__.") and _main_module() is None:
        raise pickle.PicklingError(f"{name} cannot run in another process: a worker imports the function, and this program came from "
                                   "standard input, -c or a prompt; put it in a file")
    return text


def _unpickled(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))


# ------------------------------------------------------------------------------------------------- inside of a worker


def _main_module() -> Optional[Dict[str, str]]:
    """How a worker comes by the caller's `__main__`: by its module's name or its file; None where it has neither."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return {"name": spec.name}
    path = getattr(main, "__file__", None)
    if path is None or getattr(sys, "ps1", None) is not None or path.endswith("ipython") or not os.path.isfile(path):
        return None  # `python3 - < script` calls its file <stdin>
    return {"path": os.path.abspath(path)}


def _import_main(main: Optional[Dict[str, str]]) -> None:
    """The caller's script under another name than `__main__`, so that its guarded part does not run, and then as `__main__`, so
    that what it has pickled is found."""
    if main is None:
        return
    import runpy

    name = "__mp_main__"  # the word that multiprocessing uses and that people look for
    if "name" in main:
        found = runpy.run_module(main["name"], run_name=name, alter_sys=True)
    else:
        found = runpy.run_path(main["path"], run_name=name)
    module = types.ModuleType(name)
    module.__dict__.update(found)
    sys.modules["__main__"] = sys.modules[name] = module


def _work(setup: Dict[str, Any]) -> None:
    """The life of a worker: messages on descriptor 3, answers on 4. Whatever is printed is the job's output (descriptor 2)."""
    global _working
    for each in (3, 4):
        os.set_inheritable(each, False)
    failure: Optional[Dict[str, Any]] = None
    with open(3, "rb") as questions, open(4, "wb", buffering=0) as answers:
        try:
            sys.argv[:] = setup["argv"]
            if "authkey" in setup:
                from multiprocessing.process import current_process

                current_process().authkey = base64.b64decode(setup["authkey"])
            _working = True
            _import_main(setup["main"])
            _working = False
            if "initializer" in setup:
                fn, args, kwargs = _unpickled(setup["initializer"])
                fn(*args, **kwargs)
        except BaseException as error:
            failure = {**_failure(error), "initializer": True}
        for line in questions:
            message = json.loads(line)
            os.environ["STINT_JOB_ID"] = str(message["id"])
            os.environ["STINT_ATTEMPT"] = str(message.get("attempt", 1))
            answer = {"id": message["id"], **({"error": _reported(failure)} if failure else _answer(message["args"]))}
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            for client in list(_shared.values()):
                client.close()  # it has entered the job, and holds its leases
            data = memoryview(_line(answer, setup["line_bytes_max"]))
            while data:
                data = data[answers.write(data):]


def _line(answer: Dict[str, Any], bound: int) -> bytes:
    """The answer as the daemon reads it; one that is too large fails its function and not the worker."""
    line = _encode(answer).encode() + b"\n"
    if len(line) <= bound:
        return line
    error = ValueError(f"the result is too large: {len(line)} bytes as JSON, where {bound} may be")
    return _line({"id": answer["id"], "error": _reported(_failure(error))}, bound)


def _answer(args: Dict[str, Any]) -> Dict[str, Any]:
    try:
        fn, positional, keywords = _unpickled(args["pickle"])
        value = fn(*positional, **keywords)
        # What JSON can say is said so, for whoever looks at the job; to the caller it makes no difference.
        if value is None or value is True or value is False or type(value) is int and abs(value) < 1 << 53:
            return {"result": {"value": value}}
        return {"result": {"pickle": _pickled(value, type(value))}}
    except BaseException as error:
        return {"error": _reported(_failure(error))}


def _failure(error: BaseException) -> Dict[str, Any]:
    data: Dict[str, Any] = {"traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
                            "message": "".join(traceback.format_exception_only(type(error), error)).strip()}
    with contextlib.suppress(Exception):
        data["pickle"] = _pickled(error, type(error))
    return data


def _reported(failure: Dict[str, Any]) -> Dict[str, Any]:
    data = dict(failure)
    return {"kind": _RAISED, "message": data.pop("message")[:1000], "data": data}


# --------------------------------------------------------------------------------------- locks and what belongs to them


class Closed(getattr(queue, "ShutDown", Error)):  # type: ignore[misc]
    """The queue is closed, and nothing is left in it."""


def _owner() -> str:
    """Who waits, for finding circles: this thread of this process."""
    return f"{os.getpid()}.{threading.get_ident()}"


# What is in the daemon by a name that was made up and that nobody else can know, by that name: whose client it is, where it is not the
# shared one, and what it consists of there (names and their families). It goes when its object goes.
_unnamed: Dict[str, Tuple[Optional[Client], Dict[str, str]]] = {}
_REMOVAL: Dict[str, Tuple[str, Dict[str, Json]]] = {"channel": ("channel.remove", {}), "event": ("event.clear", {}),
                                                    "semaphore": ("semaphore.set", {"permits": 0})}


def _drop_unnamed(name: str) -> None:
    """Has it removed with the client's next request, or its end. Safe in a destructor: it takes no lock and sends nothing."""
    client, parts = _unnamed.pop(name, (None, {}))
    client = client or _shared.get(None)
    if client is not None:
        for part, family in list(parts.items()):
            method, params = _REMOVAL[family]
            client._leftovers.append(_notification(method, {"name": part, **params}))


class _Named:
    """Something in the daemon that all who know its name share. It can be pickled: then the copy means the same.

    What was given no name is removed from the daemon when it is collected, its client is closed or the process ends, unless others may
    know it: where its name was read, it was pickled or the process has forked meanwhile, it stays until somebody removes it.
    """

    def __init__(self, name: Optional[str], client: Optional[Client]):
        self._name = name or f"python-{uuid.uuid4().hex}"
        self._own_client = client
        self._parts: Dict[str, str] = {}
        if not name:
            _unnamed[self._name] = (client, self._parts)
            weakref.finalize(self, _drop_unnamed, self._name).atexit = False  # at exit the executors come first

    @property
    def name(self) -> str:
        _unnamed.pop(self._name, None)
        return self._name

    @property
    def _client(self) -> Client:
        return self._own_client or default_client()

    def __getstate__(self) -> Dict[str, Any]:
        _unnamed.pop(self._name, None)
        return {name: value for name, value in self.__dict__.items() if name not in ("_own_client", "_parts", "_leases", "_guard")}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._own_client = None
        self._parts = {}

    def __repr__(self) -> str:
        return f"stint.{type(self).__name__}({self._name!r})"


def _seconds(blocking: bool, timeout: Optional[float]) -> Dict[str, float]:
    """threading's two arguments as the protocol's one."""
    if not blocking:
        if timeout is not None and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return {"timeout": 0}
    if timeout is None or timeout == -1:
        return {}
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    return {"timeout": timeout}


class _Leased(_Named):
    """What is held by leases: a lock, a semaphore."""

    _family = ""

    def __init__(self, name: Optional[str], client: Optional[Client]):
        super().__init__(name, client)
        self._hold_nothing()

    def __setstate__(self, state: Dict[str, Any]) -> None:
        super().__setstate__(state)
        self._hold_nothing()

    def _hold_nothing(self) -> None:
        self._leases: List[Tuple[Client, int, int]] = []
        self._guard = threading.Lock()

    def _acquire(self, wait: Dict[str, float], **more: Json) -> bool:
        client = self._client
        method, until = f"{self._family}.acquire", time.monotonic() + wait.get("timeout", 0)
        try:
            try:
                lease = client.call(method, name=self._name, owner=_owner(), **wait, **more)
            except Conflict:
                if "timeout" not in wait:
                    raise
                lease = client.call(method, name=self._name, timeout=max(0, until - time.monotonic()), **more)  # ends by itself
        except TimedOut:
            return False
        with self._guard:
            self._leases.append((client, lease["lease"], lease["token"]))
        return True

    def _release(self) -> None:
        with self._guard:
            if not self._leases:
                raise RuntimeError(f"{self!r} is not held here: release without acquire")
            client, lease, _ = self._leases.pop()
        lost = ConnectionLost(f"{self!r} was lost with the connection: others may have held it since")
        if lease not in client._leases:
            raise lost
        try:
            client.call(f"{self._family}.release", lease=lease)  # where that comes back to a new daemon, it takes up the lease first
        except (NotFound, PermissionDenied):
            if lease in client._leases:
                raise
            raise lost from None
        finally:
            client._leases.pop(lease, None)

    @property
    def token(self) -> Optional[int]:
        """The fencing number of what is held, which only grows; None where nothing is."""
        with self._guard:
            return self._leases[-1][2] if self._leases else None

    def _row(self) -> Dict[str, Any]:
        listed = self._client.call(f"{self._family}.list")
        for row in listed.get(f"{self._family}s", []):
            if row["name"] == self._name:
                return row
        return {}

    def __enter__(self) -> bool:
        return self._acquire({})

    def __exit__(self, *_: Any) -> None:
        self._release()


class Lock(_Leased):
    """threading.Lock between processes. It is free again when its holder is gone; waiting in a circle raises Conflict."""

    _family = "lock"

    def __init__(self, name: Optional[str] = None, *, client: Optional[Client] = None):
        super().__init__(name, client)

    def acquire(self, blocking: bool = True, timeout: Optional[float] = -1) -> bool:
        return self._acquire(_seconds(blocking, timeout))

    def release(self) -> None:
        self._release()

    def locked(self) -> bool:
        return bool(self._row().get("holders"))


class Semaphore(_Leased):
    """threading.BoundedSemaphore between processes: `value` permits, set where a value is given. Permits whose holder is gone come
    back; only who has acquired can release."""

    _family = "semaphore"

    def __init__(self, name: Optional[str] = None, value: Optional[int] = None, *, client: Optional[Client] = None):
        super().__init__(name, client)
        if value is None and name is None:
            value = 1
        if value is not None:
            if value < 0:
                raise ValueError("semaphore initial value must be >= 0")
            self._parts[self._name] = "semaphore"
            self._client.call("semaphore.set", name=self._name, permits=value)

    def acquire(self, blocking: bool = True, timeout: Optional[float] = None, *, permits: int = 1) -> bool:
        return self._acquire(_seconds(blocking, timeout), **({} if permits == 1 else {"permits": permits}))

    def release(self, n: int = 1) -> None:
        if n < 1:
            raise ValueError("n must be one or more")
        for _ in range(n):
            self._release()

    def remove(self) -> None:
        """Leaves it no permits: it is forgotten where nobody holds one or waits for one."""
        self._client.call("semaphore.set", name=self._name, permits=0)
        self._parts.clear()


class Event(_Named):
    """threading.Event between processes."""

    def __init__(self, name: Optional[str] = None, *, client: Optional[Client] = None):
        super().__init__(name, client)

    def set(self) -> None:
        self._parts[self._name] = "event"
        self._client.call("event.set", name=self._name)

    def clear(self) -> None:
        self._client.call("event.clear", name=self._name)
        self._parts.clear()

    def is_set(self) -> bool:
        return self.wait(0)

    def wait(self, timeout: Optional[float] = None) -> bool:
        try:
            self._client.call("event.wait", name=self._name, **({} if timeout is None else {"timeout": max(0.0, timeout)}))
        except TimedOut:
            return False
        return True


class Queue(_Named):
    """queue.Queue between processes: a channel of JSON items. Given a `maxsize` (0: the largest that there is) it is opened; without
    one it is an existing channel, opened with the largest size where there is none. `close` lets those who iterate over it end."""

    LARGEST = 1_000_000

    def __init__(self, name: Optional[str] = None, maxsize: Optional[int] = None, *, durable: bool = False,
                 client: Optional[Client] = None):
        super().__init__(name, client)
        self.maxsize = maxsize or 0
        self._durable = durable
        if maxsize is not None or name is None:
            self._open()

    def _open(self) -> None:
        self._parts[self._name] = "channel"
        capacity = self.maxsize if 0 < self.maxsize <= self.LARGEST else self.LARGEST
        self._client.call("channel.open", name=self._name, capacity=capacity, **({"durable": True} if self._durable else {}))

    def _opened(self, method: str, **params: Json) -> Json:
        try:
            return self._client.call(method, name=self._name, **params)
        except NotFound:
            self._open()
            return self._client.call(method, name=self._name, **params)

    def put(self, item: Json, block: bool = True, timeout: Optional[float] = None) -> None:
        try:
            self._opened("channel.put", item=item, **_wait_time(block, timeout))
        except TimedOut:
            raise queue.Full from None
        except Conflict as error:
            raise Closed(str(error)) from None

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Json:
        return self.get_many(1, block, timeout)[0]

    def get_many(self, count: int, block: bool = True, timeout: Optional[float] = None) -> List[Json]:
        """What is there, at least one and at most `count`."""
        try:
            answer = self._opened("channel.get", count=count, **_wait_time(block, timeout))
        except TimedOut:
            raise queue.Empty from None
        if not answer.get("items"):
            raise Closed(f"{self!r} is closed")
        return answer["items"]

    def put_nowait(self, item: Json) -> None:
        self.put(item, False)

    def get_nowait(self) -> Json:
        return self.get(False)

    def _row(self) -> Dict[str, Any]:
        for row in self._client.call("channel.list")["channels"]:
            if row["name"] == self._name:
                return row
        return {"items": 0, "capacity": self.LARGEST}

    def qsize(self) -> int:
        return self._row()["items"]

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        row = self._row()
        return row["items"] >= row["capacity"]

    def close(self) -> None:
        """No more puts; what is in it can still be taken, then get raises Closed."""
        self._client.call("channel.close", name=self._name)

    def shutdown(self, immediate: bool = False) -> None:
        """As queue.Queue.shutdown: with `immediate` what is in it is thrown away."""
        self.close()
        with contextlib.suppress(queue.Empty, Closed):
            while immediate:
                self.get_many(10_000, False)

    def remove(self) -> None:
        self._client.call("channel.remove", name=self._name)
        self._parts.clear()

    def __iter__(self) -> Iterator[Json]:
        with contextlib.suppress(Closed):
            while True:
                yield self.get()


def _wait_time(block: bool, timeout: Optional[float]) -> Dict[str, float]:
    """queue's two arguments as the protocol's one."""
    if not block:
        return {"timeout": 0}
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return {} if timeout is None else {"timeout": timeout}


class Barrier(_Named):
    """threading.Barrier between processes: `parties` meet, none passes before the last arrives. Made of a lock, a channel that holds
    its state, and an event for each round. Who gives up breaks it for all; `reset` mends it."""

    _REMEMBERED = 16  # broken rounds

    def __init__(self, name: Optional[str] = None, parties: int = 2, *, timeout: Optional[float] = None,
                 client: Optional[Client] = None):
        super().__init__(name, client)
        if parties < 1:
            raise ValueError("parties must be > 0")
        self.parties = parties
        self._timeout = timeout

    @contextlib.contextmanager
    def _state(self, last: bool = False) -> Iterator[Dict[str, Any]]:
        """The state, ours alone until it is put back, or removed."""
        with Lock(f"{self._name}.lock", client=self._own_client):
            cell = Queue(f"{self._name}.state", client=self._own_client)
            try:
                state = cell.get(False)
            except queue.Empty:  # the first use, or whoever held it died
                state = {"round": uuid.uuid4().hex, "waiting": 0, "broken": [], "passed": None}
            try:
                yield state
            finally:
                self._parts[cell._name] = "channel"
                if last:
                    cell.remove()
                else:
                    cell.put(state)

    def _gate(self, one: str) -> Event:
        return Event(f"{self._name}.{one}", client=self._own_client)

    def _open(self, one: str) -> None:
        gate = self._gate(one)
        self._parts[gate._name] = "event"
        gate.set()

    def _shut(self, one: str) -> None:
        gate = self._gate(one)
        gate.clear()
        self._parts.pop(gate._name, None)

    def _next_round(self, state: Dict[str, Any]) -> None:
        """Who waits in a broken round has a few more in which to find out."""
        for one in state["broken"][:-self._REMEMBERED]:
            self._shut(one)
        state.update(round=uuid.uuid4().hex, waiting=0, broken=state["broken"][-self._REMEMBERED:])

    def wait(self, timeout: Optional[float] = None) -> int:
        """Waits for the others; returns a number from 0 to parties - 1, another one for each."""
        timeout = self._timeout if timeout is None else timeout
        with self._state() as state:
            mine = state["round"]
            if mine in state["broken"]:
                raise threading.BrokenBarrierError
            state["waiting"] += 1
            index = self.parties - state["waiting"]
            if index == 0:
                if state["passed"] is not None:  # all of that round are here again: they have passed it
                    self._shut(state["passed"])
                state["passed"] = mine
                self._next_round(state)
                self._open(mine)
                return 0
        passed = False
        try:
            passed = self._gate(mine).wait(timeout)
        finally:
            with self._state() as state:
                if not passed and state["round"] == mine:
                    self._break(state)
                broken = mine in state["broken"]
        if broken:
            raise threading.BrokenBarrierError
        return index

    def _break(self, state: Dict[str, Any]) -> None:
        if state["round"] not in state["broken"]:
            state["broken"].append(state["round"])
        self._open(state["round"])

    def abort(self) -> None:
        """Breaks it: who waits, and who comes, gets BrokenBarrierError."""
        with self._state() as state:
            self._break(state)

    def reset(self) -> None:
        """As new; who waits gets BrokenBarrierError."""
        with self._state() as state:
            if state["waiting"]:
                self._break(state)
            self._next_round(state)

    def remove(self) -> None:
        """Leaves nothing of it in the daemon; for when nobody uses it any more."""
        with self._state(last=True) as state:
            for one in (state["passed"], state["round"], *state["broken"]):
                if one is not None:
                    self._shut(one)
        self._parts.clear()

    @property
    def n_waiting(self) -> int:
        with self._state() as state:
            return 0 if state["round"] in state["broken"] else state["waiting"]

    @property
    def broken(self) -> bool:
        with self._state() as state:
            return state["round"] in state["broken"]


# ----------------------------------------------------------------------------------------------------------- asyncio


class _AioNamespace:
    """`await client.job.get(id=1)`; a streaming method gives an asynchronous iterator."""

    def __init__(self, client: "_AioClient", family: str):
        self._client = client
        self._family = family

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = f"{self._family}.{name}"
        if method in _STREAMS:
            return lambda **params: self._client.stream(method, **params)

        def call(**params: Json) -> Any:
            return self._client.stream(method, **params) if params.get("follow") else self._client.call(method, **params)

        return call


class _AioClient:
    """A Client for asyncio: the same calls, awaited. It belongs to the event loop that it is opened in.

        async with stint.aio.Client() as client:
            job = await client.submit(["make"])
            async for record in client.results(ids=[job]):
                print(record["outcome"])
    """

    def __init__(self, socket: Optional[Union[str, "os.PathLike[str]"]] = None, *, reconnect: float = RECONNECT_SECONDS):
        self._explicit = None if socket is None else os.fspath(socket)
        self._reconnect = reconnect
        self._closed = False
        self._numbers = itertools.count(1)
        self._writer: Optional[asyncio.StreamWriter] = None
        self._reading: Optional["asyncio.Task[None]"] = None
        self._calls: Dict[int, Tuple["asyncio.Future[Json]", Optional["asyncio.Queue[Any]"]]] = {}
        self._streams: Dict[int, "asyncio.Queue[Any]"] = {}
        self._opening: Optional[asyncio.Lock] = None
        self._leases = _Leases()
        self.path = ""
        self.info: Dict[str, Any] = {}

    async def __aenter__(self) -> "_AioClient":
        await self._live()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    # ---- connection
    async def _live(self) -> None:
        """Connects, or comes back where the connection broke."""
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._reading is not None and not self._reading.done():
                return
            if self._closed:
                raise ConnectionLost("the connection is closed")
            if not self.path:
                socket, self.path = _find_daemon(self._explicit)
                await self._begin(socket)
                return
            deadline = time.monotonic() + self._reconnect
            while True:
                found = _try_connect(_Candidate(self.path, "socket=", False))
                if isinstance(found, sockets.socket):
                    with contextlib.suppress(ConnectionLost):
                        await self._begin(found)
                        return
                if time.monotonic() >= deadline:
                    raise ConnectionLost(f"the connection to {self.path} was lost and no daemon came back within "
                                         f"{self._reconnect:g} s")
                await asyncio.sleep(_RECONNECT_STEP)

    async def _begin(self, socket: sockets.socket) -> None:
        reader, self._writer = await asyncio.open_unix_connection(sock=socket, limit=64 << 20)
        self._reading = asyncio.ensure_future(self._read(reader, self._writer))
        self.info = await self._post("daemon.info", {})
        for lease, token in list(self._leases.items()):
            try:
                await self._post("lease.resume", {"lease": lease, "token": token})
            except RpcError:
                self._leases.pop(lease, None)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    break
                self._take(json.loads(line))
        writer.close()
        lost = ConnectionLost(f"the daemon at {self.path} closed the connection")
        calls, self._calls = self._calls, {}
        streams, self._streams = self._streams, {}
        for future, _ in calls.values():
            if not future.done():
                future.set_exception(lost)
        for items in streams.values():
            items.put_nowait(lost)

    def _take(self, message: Dict[str, Any]) -> None:
        if "method" in message:
            params = message["params"]
            items = self._streams.get(params["stream"])
            if items is not None:
                items.put_nowait(params)
            return
        future, items = self._calls.pop(message["id"], (None, None))
        if future is None:
            return
        if items is not None and "result" in message:
            self._streams[message["result"]["stream"]] = items
        if future.done():
            return
        if "error" in message:
            future.set_exception(_rpc_error(message["error"]))
        else:
            future.set_result(message["result"])

    def _post(self, method: str, params: Dict[str, Any], items: Optional["asyncio.Queue[Any]"] = None) -> "asyncio.Future[Json]":
        if self._writer is None or self._writer.is_closing():
            raise ConnectionLost("the connection is closed")
        number = next(self._numbers)
        future: "asyncio.Future[Json]" = asyncio.get_running_loop().create_future()
        self._calls[number] = (future, items)
        text = f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{_encode(params)}}}\n'
        self._writer.write(text.encode("utf-8", "surrogatepass"))
        return future

    # ---- calls
    async def call(self, method: str, /, **params: Json) -> Json:
        """One call of the protocol; as Client.call it is made again when the connection breaks, unless that could do it twice."""
        again = method not in _ONCE or _once_anyway(method, params)
        deadline = _deadline(params)
        while True:
            await self._live()
            try:
                result = await self._post(method, _in_time(params, deadline))
                self._leases.note(method, params, result)
                return result
            except ConnectionLost:
                if not again or self._closed:
                    raise
            except Draining:
                if method not in _WAITS or method in _WAITS_HAVING_ACTED and not again or self._reading is None:
                    raise
                done, _ = await asyncio.wait([self._reading], timeout=1)
                if not done:
                    raise

    async def stream(self, method: str, /, **params: Json) -> AsyncIterator[Json]:
        """The items of a streaming call; when the connection breaks it goes on behind the last one."""
        place = _Place(method, params)
        while not place.done():
            await self._live()
            items: "asyncio.Queue[Any]" = asyncio.Queue()
            number = None
            try:
                number = (await self._post(method, place.params(), items))["stream"]
                while True:
                    got = await items.get()
                    if isinstance(got, ConnectionLost):
                        raise got
                    if "item" in got:
                        if place.note(got["item"]):
                            yield got["item"]
                    elif got["reason"] == "error":
                        raise _rpc_error(got.get("error") or {})
                    elif got["reason"] == "draining":
                        await asyncio.wait([self._reading or asyncio.sleep(0)], timeout=self._reconnect)
                        break
                    else:
                        return
            except ConnectionLost:
                if self._closed:
                    raise
            finally:
                if number is not None and self._streams.pop(number, None) is not None and not self._closed:
                    with contextlib.suppress(ConnectionLost):
                        self._post("stream.cancel", {"stream": number}).add_done_callback(lambda each: each.exception())

    def __getattr__(self, name: str) -> _AioNamespace:
        if name in _FAMILIES:
            return _AioNamespace(self, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---- jobs
    async def submit(self, job: Any, **fields: Json) -> int:
        spec = {**_spec(job), **fields}
        spec.setdefault("key", _new_key())
        return (await self.call("job.submit", job=spec))["id"]

    async def run_job(self, job: Any, *, output: bool = False, **fields: Json) -> Record:
        spec = {**_spec(job), **fields}
        spec.setdefault("key", _new_key())
        return await self.call("job.run", job=spec, output=output)

    async def wait(self, ids: Optional[Iterable[int]] = None, *, group: Optional[str] = None, until: str = "all") -> Waited:
        answer = await self.call("job.wait", until=until, **_jobs(ids, group))
        return Waited(answer["finished"], answer["pending"])

    def results(self, ids: Optional[Iterable[int]] = None, *, group: Optional[str] = None, **more: Json) -> AsyncIterator[Record]:
        return self.stream("job.results", **_jobs(ids, group), **more)

    async def cancel(self, ids: Optional[Iterable[int]] = None, *, group: Optional[str] = None, force: bool = False) -> Json:
        return await self.call("job.cancel", **_jobs(ids, group), **({"force": True} if force else {}))


class _AioExecutor:
    """An Executor whose results are awaited. `submit` gives an asyncio.Future; `map` and `as_completed` are asynchronous iterators.

        async with stint.aio.Executor() as executor:
            print(await executor.submit(pow, 2, 8))
            async for result in executor.map(stint.Task("digest"), paths): ...

    `loop.run_in_executor(stint.Executor(), function)` works as well.
    """

    def __init__(self, *args: Any, **options: Any):
        self.executor = Executor(*args, **options)

    async def __aenter__(self) -> "_AioExecutor":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.shutdown()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        return asyncio.wrap_future(self.executor.submit(fn, *args, **kwargs))

    async def map(self, fn: Any, *iterables: Iterable[Any]) -> AsyncIterator[Any]:
        """Results in the order of the items; what is left is cancelled where the iteration ends early."""
        futures = [self.submit(fn, *args) for args in zip(*iterables)]
        try:
            for future in futures:
                yield await future
        finally:
            for future in futures:
                future.cancel()

    async def as_completed(self, fn: Any, *iterables: Iterable[Any]) -> AsyncIterator[Any]:
        """Results of all items in the order in which they end."""
        for future in asyncio.as_completed([self.submit(fn, *args) for args in zip(*iterables)]):
            yield await future

    async def shutdown(self, *, cancel_futures: bool = False) -> None:
        await asyncio.get_running_loop().run_in_executor(None, functools.partial(self.executor.shutdown, cancel_futures=cancel_futures))


async def _aio_run(args: Any, **options: Any) -> CompletedProcess:
    """stint.run for asyncio."""
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(run, args, **options))


class aio:
    """The asyncio side: `stint.aio.Client`, `stint.aio.Executor`, `stint.aio.run`; `from stint import aio` works, too."""

    Client = _AioClient
    Executor = _AioExecutor
    run = staticmethod(_aio_run)
