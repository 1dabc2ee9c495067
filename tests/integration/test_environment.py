"""What a program finds when it starts: descriptors, signals, environment, directory, masks, session."""

import json
import os
import signal
from pathlib import Path

import pytest
from harness import Daemon

PROBE = r"""
import json, os, signal
print(json.dumps({
    "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "status": {line.split(":")[0]: line.split(":")[1].strip() for line in open("/proc/self/status") if line.startswith("Sig")},
    "environment": dict(os.environ), "cwd": os.getcwd(), "umask": oct(os.umask(0)), "pid": os.getpid(), "session": os.getsid(0),
    "group": os.getpgid(0), "oom": open("/proc/self/oom_score_adj").read().strip(), "terminal": os.path.exists("/dev/tty") and os.isatty(0),
}))
"""


@pytest.fixture(scope="module")
def daemon():
    # A starter with every bad habit: an ignored and a blocked signal, odd variables, open descriptors.
    stray = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(stray, True)
    ignored = signal.signal(signal.SIGPIPE, signal.SIG_IGN), signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    environment = {**os.environ, "DAEMON_SECRET": "s3cret", "LC_ALL": "C.UTF-8", "STINT_JOB_ID": "999"}
    running = Daemon(environment=environment, process__slots=4)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    signal.signal(signal.SIGPIPE, ignored[0])
    signal.signal(signal.SIGUSR2, ignored[1])
    os.close(stray)
    yield running
    running.stop()


@pytest.fixture
def seen(client):
    def probe(**job):
        record = client.run(command=["/usr/bin/python3", "-ISc", PROBE], **job)
        assert record["outcome"] == "succeeded", client.output(record["id"], of="stderr")
        return {**json.loads(record["stdout"]["data"]), "record": record}

    return probe


LISTING = """
import os, time
time.sleep(0.1)
for fd in os.listdir("/proc/self/fd"):
    try: print(fd, os.readlink("/proc/self/fd/" + fd))
    except OSError: pass  # that of the listing itself
"""


def test_descriptors_are_0_1_2_only(client):
    command = ["/usr/bin/python3", "-ISc", LISTING]
    jobs = [client.submit(command=command, stdin=stdin) for stdin in ("stream", "", "text", {"file": "/dev/null"})]
    jobs.append(client.submit(command=command, stderr="null"))
    client.wait(*jobs)
    for job in jobs:
        found = [line.split(" ", 1)[0] for line in client.output(job).decode().splitlines()]
        assert sorted(found) == ["0", "1", "2"], client.output(job)


def test_signals_are_at_their_defaults(client):
    text = client.run(command=["cat", "/proc/self/status"])["stdout"]["data"]
    masks = {line.split(":")[0]: int(line.split(":")[1], 16) for line in text.splitlines() if line[:6] in ("SigBlk", "SigIgn", "SigCgt")}
    assert masks == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def test_nothing_of_the_environment_of_the_daemon(seen):
    environment = seen()["environment"]
    assert not [name for name in environment if name.startswith("STINTD_") or name in ("DAEMON_SECRET", "LC_ALL", "STINT_BIN_DIR")]
    plain = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ"}
    allowed = plain | {"STINT_SOCKET", "STINT_INSTANCE", "STINT_JOB_ID", "STINT_ATTEMPT", "STINT_JOB_NAME", "STINT_JOB_GROUP"}
    assert set(environment) <= allowed | {"LC_CTYPE"}
    assert {"PATH", "HOME", "USER", "LOGNAME", "SHELL"} <= set(environment)


def test_what_stint_adds(seen, daemon):
    found = seen(name="n", group="g")
    environment = found["environment"]
    assert environment["STINT_JOB_ID"] == str(found["record"]["id"]) and environment["STINT_ATTEMPT"] == "1"
    assert environment["STINT_SOCKET"] == str(daemon.socket) and environment["STINT_INSTANCE"]
    assert (environment["STINT_JOB_NAME"], environment["STINT_JOB_GROUP"]) == ("n", "g")


def test_env_is_laid_over(seen):
    environment = seen(env={"A": "1", "LANG": "xx", "EMPTY": "", "UTF": "é\n"})["environment"]
    assert (environment["A"], environment["LANG"], environment["EMPTY"], environment["UTF"]) == ("1", "xx", "", "é\n")
    clean = seen(env={"A": "1"}, clean_env=True)["environment"]
    assert {name for name in clean if not name.startswith("STINT_")} - {"LC_CTYPE"} == {"A"}


def test_path_of_the_job_finds_the_program(client, tmp_path):
    tool = tmp_path / "tool-of-mine"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    record = client.run(command=["tool-of-mine"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert record["stdout"]["data"] == "found\n"


def test_directory_and_mask(seen, tmp_path):
    assert seen()["cwd"] == str(Path.home()) and seen()["umask"] == "0o77"
    found = seen(cwd=str(tmp_path), umask="022")
    assert (found["cwd"], found["umask"]) == (str(tmp_path), "0o22")


def test_a_session_of_its_own(seen):
    found = seen()
    assert found["pid"] == found["session"] == found["group"]
    assert found["record"]["pid"] == found["pid"]


def test_arguments_arrive_as_they_are(client):
    arguments = ["", " ", "a b", "*", "$HOME", "é", "\n", "'", '"', "\\", "-n", "x" * 100_000]
    program = "import sys, json; print(json.dumps(sys.argv[1:]))"
    number = client.run(command=["/usr/bin/python3", "-c", program, *arguments])["id"]
    assert json.loads(client.output(number)) == arguments


def test_a_job_can_submit_jobs(client):
    script = (
        'import os,socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(os.environ["STINT_SOCKET"]); '
        'sys.stdout.flush(); s.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"job.submit","params":{"job":{"task":"echo","group":"inner"}}}\\n\'); '
        "print(s.recv(1000).decode())"
    )
    record = client.run(command=["/usr/bin/python3", "-c", script])
    number = json.loads(record["stdout"]["data"])["result"]["id"]
    assert client.wait(number)[0]["group"] == "inner"
