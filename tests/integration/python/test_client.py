"""stint.Client: calls, errors, streams, finding the daemon and coming back to it."""

import concurrent.futures
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import stint
from harness import seconds, until


def test_every_method_has_its_name(link):
    document = link.rpc.discover()
    methods = [method["name"] for method in document["methods"]]
    assert set(methods) == set(link.capabilities)
    for method in methods:
        family, _, name = method.partition(".")
        assert callable(getattr(getattr(link, family), name)), method
        assert name in dir(getattr(link, family))
    # An unknown one is the daemon's to refuse, with the nearest that there is.
    with pytest.raises(stint.MethodNotFound) as caught:
        link.job.sumbit(job={})
    assert caught.value.data["nearest"] == "job.submit"
    with pytest.raises(AttributeError):
        link.jop


def test_each_kind_of_error_has_its_class(link):
    kinds = {row.kind for row in stint.RpcError.__subclasses__()}
    assert kinds == {"parse_error", "invalid_request", "method_not_found", "invalid_params", "internal_error", "not_found",
                     "permission_denied", "conflict", "limit_exceeded", "timed_out", "draining", "unavailable", "purged"}
    with pytest.raises(stint.InvalidParams) as caught:
        link.submit({"task": "echo", "timeout": -1})
    assert caught.value.data["field"] == "job.timeout" and "timeout" in str(caught.value)
    assert not caught.value.retryable and caught.value.code == -32602
    with pytest.raises(stint.NotFound):
        link.get(999_999_999)
    with pytest.raises(stint.Conflict):
        link.submit({"task": "echo", "args": 1, "key": "twice"})
        link.submit({"task": "echo", "args": 2, "key": "twice"})
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is stint.InvalidParams and again.data == caught.value.data
    assert type(stint._rpc_error({"code": 1, "message": "new", "data": {"kind": "of_tomorrow"}})) is stint.RpcError


def test_jobs(link):
    first = link.submit(["echo", "hello"])
    second = link.submit({"task": "echo"}, args={"a": 1}, name="second")
    waited = link.wait([first, second])
    assert [record["id"] for record in waited.finished] != [] and waited.pending == []
    assert link.output(first) == b"hello\n"
    assert link.get(second)["result"] == {"a": 1} and link.get(second)["name"] == "second"
    assert list(link.follow(first)) == [b"hello\n"]
    submitted = link.submit_many(template=stint.Task("echo"), items=range(5))
    assert len(submitted.ids) == 5
    assert sorted(record["result"] for record in link.results(group=submitted.group)) == [0, 1, 2, 3, 4]
    assert [record["result"] for record in link.results(submitted.ids, order="submission")] == [0, 1, 2, 3, 4]
    assert [record["id"] for record in link.list(group=submitted.group, limit=2)] == list(submitted.ids)
    assert link.run_job(stint.Task("echo"), args=3)["result"] == 3
    slow = link.submit(["sleep", "30"])
    assert link.wait([slow], timeout=0) == ([], [slow])
    answer = link.cancel(slow)
    assert answer["cancelled"] + answer["stopping"] == [slow]
    assert link.wait([slow]).finished[0]["outcome"] == "cancelled"


def test_output_larger_than_a_piece(link):
    job = link.submit(["head", "-c", "1500000", "/dev/zero"])
    link.wait([job])
    assert link.output(job) == bytes(1_500_000)


def test_streams_end_are_closed_and_time_out(link):
    slow = link.submit(["sleep", "30"], group="slow")
    stream = link.results([slow], timeout=0.05)
    assert list(stream) == [] and stream.reason == "timed_out"
    with link.results([slow]) as stream:
        with pytest.raises(concurrent.futures.TimeoutError):
            stream.next(timeout=0.02)
    quick = link.submit(stint.Task("echo"), args=1)
    events = link.events(["job.finished"], group="slow")
    link.cancel(slow)
    assert next(events)["id"] == slow
    events.close()
    assert list(events) == []
    with link.results([quick, slow]) as stream:
        assert {record["id"] for record in stream} == {quick, slow} and stream.reason == "complete"
    with pytest.raises(stint.NotFound):
        link.results(group="never heard of")


def test_abandoned_streams_end_at_the_daemon(link):
    job = link.submit(["sleep", "30"])
    for _ in range(link.info["bounds"]["waiting_requests_max"] + 10):  # more than may be open at once
        link.results([job])
    link.cancel(job)
    assert link.wait([job]).finished


def test_many_threads_share_a_connection(link):
    found = []

    def work(number):
        for k in range(20):
            found.append(link.run_job(stint.Task("echo"), args=[number, k])["result"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(seconds(30))
    assert sorted(found) == [[number, k] for number in range(8) for k in range(20)]


def test_one_waits_while_others_work(link):
    slow = link.submit(["sleep", "30"])
    waiting = threading.Thread(target=link.wait, args=([slow],))
    waiting.start()
    for k in range(50):
        assert link.run_job(stint.Task("echo"), args=k)["result"] == k
    assert waiting.is_alive()
    link.cancel(slow)
    waiting.join(seconds(10))
    assert not waiting.is_alive()


def test_close_wakes_those_who_wait(place, link):
    other = stint.Client()
    job = link.submit(["sleep", "30"])
    failures = []

    def wait():
        try:
            other.wait([job])
        except stint.ConnectionLost as lost:
            failures.append(lost)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for each in threads:
        each.start()
    until(lambda: len(other._link._waiting) == 2, what="two who wait and one who reads")
    other.close()
    for each in threads:
        each.join(seconds(10))
    assert len(failures) == 3
    with pytest.raises(stint.ConnectionLost):
        other.get(job)
    link.cancel(job)


def test_a_restart_is_survived(start):
    daemon = start()
    client = stint.Client(daemon.socket)
    finished = [client.submit({"task": "echo", "args": k, "group": "g"}) for k in range(3)]
    job = client.submit({"shell": "echo before; while ! [ -e go ]; do sleep 0.02; done; echo after", "cwd": str(daemon.home), "group": "g"})
    client.wait(finished)
    stream = client.results(group="g")
    seen = [next(stream)["id"] for _ in range(3)]
    follow = client.follow(job)
    assert next(follow) == b"before\n"
    waited = []
    waiting = threading.Thread(target=lambda: waited.extend(client.wait([job]).finished))
    waiting.start()
    before = client.instance
    daemon.restart()
    assert client.get(job)["state"] == "running"
    assert client.instance != before
    (daemon.home / "go").touch()
    assert b"".join(follow) == b"after\n"
    assert sorted(seen) == finished and [record["id"] for record in stream] == [job]
    waiting.join(seconds(20))
    assert waited[0]["outcome"] == "succeeded"
    client.close()


def test_what_might_happen_twice_is_not_sent_twice(start):
    daemon = start()
    client = stint.Client(daemon.socket, reconnect=0.3)
    job = client.submit(["cat"], stdin="stream")
    assert stint._once_anyway("job.submit", {"job": {"key": "k"}}) and not stint._once_anyway("job.submit", {"job": {}})
    daemon.kill()
    with pytest.raises(stint.ConnectionLost):
        client.call("job.input", id=job, data="x")
    with pytest.raises(stint.ConnectionLost, match="no daemon came back"):
        client.get(job)
    daemon.launch()
    daemon.until_serving()
    assert client.get(job)["state"] == "running", "it comes back even later"
    client.close()


@pytest.mark.parametrize("orderly", [False, True])
def test_input_with_an_offset_goes_on(start, orderly):
    """Pieces that nobody reads, so that one is always on its way when the daemon goes."""
    daemon = start()
    data = "".join(f"{i:07}\n" for i in range(200_000))
    size = 1 << 17
    with stint.Client(daemon.socket) as client:
        job = client.submit({"shell": "until [ -e go ]; do sleep 0.01; done; cat"}, stdin="stream", cwd=str(daemon.home))

        def feed():
            for at in range(0, len(data), size):
                client.call("job.input", id=job, data=data[at:at + size], offset=at, end=at + size >= len(data))

        feeding = threading.Thread(target=feed)
        feeding.start()
        for _ in range(2):
            until(lambda: client.get(job)["state"] == "running", what="the job")
            daemon.restart(orderly)
        (daemon.home / "go").touch()
        feeding.join(seconds(30))
        assert client.wait([job]).finished[0]["outcome"] == "succeeded"
        assert client.output(job) == data.encode()


@pytest.mark.parametrize("orderly", [False, True])
def test_leases_are_kept_over_a_restart(start, orderly):
    daemon = start()
    with stint.Client(daemon.socket) as client, stint.Client(daemon.socket) as other:
        client.semaphore.set(name="s", permits=1)
        kept, given_back, permit = client.lock.acquire(name="a"), client.lock.acquire(name="b"), client.semaphore.acquire(name="s")
        client.lock.release(lease=given_back["lease"])
        daemon.restart(orderly)
        client.daemon.info()
        for family, name in (("lock", "a"), ("semaphore", "s")):
            with pytest.raises(stint.TimedOut):
                other.call(f"{family}.acquire", name=name, timeout=0)
        other.lock.acquire(name="b", timeout=0)
        client.lock.release(lease=kept["lease"])
        client.semaphore.release(lease=permit["lease"])
        assert not client._leases


def test_the_time_of_a_wait_counts_over_a_restart(start):
    daemon = start()
    whole = seconds(1.5)
    with stint.Client(daemon.socket) as client:
        results = []
        begun = time.monotonic()
        thread = threading.Thread(target=lambda: results.append(stint.Event("never", client=client).wait(whole)))
        thread.start()
        daemon.kill()
        until(lambda: time.monotonic() > begun + whole, what="the end of its time")
        daemon.launch()
        daemon.until_serving()
        back = time.monotonic()
        thread.join(seconds(10))
        assert results == [False] and time.monotonic() - back < whole / 2


def test_a_daemon_that_only_drains_is_not_waited_for(start):
    daemon = start()
    with stint.Client(daemon.socket) as client:
        client.call("daemon.drain", scope="running")
        with pytest.raises(stint.Draining):
            client.run_job(stint.Task("echo"))
        with pytest.raises(stint.Draining):
            client.submit(stint.Task("echo"))
        assert client.call("daemon.stats")["draining"] is True
        client.call("daemon.undrain")


def test_another_daemon_is_not_taken_for_the_same(start, tmp_path):
    daemon = start()
    path = tmp_path / "s"
    os.symlink(daemon.socket, path)
    client = stint.Client(path)
    other = start()
    path.unlink()
    os.symlink(other.socket, path)
    client._link.close(stint.ConnectionLost("cut"))
    with pytest.raises(stint.ConnectionLost, match="another daemon"):
        client.get(1)


# ---- finding the daemon
def test_what_was_tried_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("STINT_SOCKET", str(tmp_path / "nobody"))
    with pytest.raises(stint.NoDaemon, match=r"(?s)nobody: not there \(STINT_SOCKET\).*stintd --socket"):
        stint.Client()
    with pytest.raises(stint.NoDaemon, match="elsewhere"):
        stint.Client(tmp_path / "elsewhere")
    assert issubclass(stint.NoDaemon, ConnectionError)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    with pytest.raises(stint.NoDaemon, match="stale socket"):
        stint.Client(tmp_path / "stale")


def test_the_order_of_the_search(monkeypatch):
    monkeypatch.delenv("STINT_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/some/where")
    paths = [each.path for each in stint._candidates(None)]
    uid = os.getuid()
    assert paths == ["/some/where/stint/stint.sock", f"/run/user/{uid}/stint/stint.sock", f"/tmp/stint-{uid}/stint.sock",
                     "/run/stint/stint.sock"]
    assert [each.directory_ours for each in stint._candidates(None)] == [True, True, True, False]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert stint._candidates(None)[0].path == f"/run/user/{uid}/stint/stint.sock"
    monkeypatch.setenv("STINT_SOCKET", "/a")
    assert [each.path for each in stint._candidates(None)] == ["/a"]
    assert [each.path for each in stint._candidates("/b")] == ["/b"]


def test_a_directory_that_others_write_to_is_not_trusted(daemon, tmp_path):
    directory = tmp_path / "stint"
    directory.mkdir(mode=0o700)
    os.symlink(daemon.socket, directory / "stint.sock")
    candidate = stint._Candidate(str(directory / "stint.sock"), "personal", True)
    found = stint._try_connect(candidate)
    assert isinstance(found, socket.socket)
    found.close()
    directory.chmod(0o770)
    assert stint._try_connect(candidate) == "not trusted: its directory may be written to by others"
    (tmp_path / "link").symlink_to(directory)
    assert "not a directory" in stint._try_connect(candidate._replace(path=str(tmp_path / "link" / "stint.sock")))


def test_a_stranger_behind_the_socket_is_sent_nothing(daemon, monkeypatch):
    monkeypatch.setattr(stint.os, "getuid", lambda: 12345)
    if os.stat(daemon.socket).st_uid == 0:
        pytest.skip("root's daemon is trusted by everybody") if os.geteuid() != 0 else None
        monkeypatch.setattr(stint.struct, "unpack", lambda *_: (1, 54321, 1))
    assert "neither you, root nor stint: nothing was sent" in stint._try_connect(stint._Candidate(str(daemon.socket), "", False))


# ---- processes
def test_a_fork_has_to_make_its_own(link):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            link.get(1)
        except RuntimeError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert b"before a fork" in os.read(read, 1000)
    os.close(read)
    assert link.daemon.info()["name"] == "stint"


def test_a_client_is_not_pickled(link):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(link)


def test_it_needs_nothing_but_the_standard_library():
    script = "import sys; before = set(sys.modules); import stint; print([m for m in set(sys.modules) - before if m.split('.')[0] not in sys.stdlib_module_names and m not in ('stint', '__mp_main__')])"
    home = Path(stint.__file__).parent
    if not hasattr(sys, "stdlib_module_names"):
        pytest.skip("Python 3.9 has no list of its modules")
    assert subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(home)!r}); {script}"], capture_output=True, text=True).stdout == "[]\n"


def test_no_syntax_newer_than_3_9():
    import ast

    ast.parse(Path(stint.__file__).read_text(), feature_version=(3, 9))


def test_a_signal_does_not_break_the_connection(link):
    """Ctrl-C while waiting raises; the connection goes on."""
    import signal

    def interrupt(*_):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, interrupt)
    job = link.submit(["sleep", "30"])
    try:
        timer = threading.Timer(0.1, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            link.wait([job])
        timer.join()
        assert link.get(job)["id"] == job
    finally:
        signal.signal(signal.SIGUSR1, previous)
        link.cancel(job)
