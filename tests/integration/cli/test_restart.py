"""run, output -f, wait, results and map while the daemon is killed and started again: durable work goes on, the rest is named."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness import alive, freeze, runner_of, seconds, until
from program import Cli, read_until

KILLS = 3


@pytest.fixture
def own(start):
    return start(process__slots=4)


@pytest.fixture
def cli(own, tmp_path):
    program = Cli(tmp_path, STINT_SOCKET=str(own.socket))
    yield program
    program.end()


def held(name, before="", after=""):
    """Shell text that waits for a file."""
    return f"{before}; until [ -e {name} ]; do sleep 0.01; done; {after}".strip("; ")


def listed(own, **which):
    with own.connect() as client:
        return client.call("job.list", **which)["jobs"]


def until_running(own, count):
    until(lambda: len(listed(own, state="running")) == count, what=f"{count} running")


def until_streams(own, count):
    """So many are connected and have asked for what they wait for."""
    until(lambda: own.connect().call("daemon.stats")["streams"] >= count, what=f"{count} streams")


def test_run(own, cli, tmp_path):
    process = cli.begin("run", "--shell", held("go", "echo one", "echo two; exit 7"))
    read_until(process, b"one\n")
    for _ in range(KILLS):
        own.restart()
        read_until(process, b"was restarted", stream="stderr")
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (7, b"two\n")


def test_run_that_ends_while_no_daemon_is_there(own, cli, tmp_path):
    process = cli.begin("run", "--shell", held("go", "echo $$", "seq 5000; exit 3"))
    pid = int(read_until(process, b"\n"))
    own.kill()
    read_until(process, b"was lost", stream="stderr")
    (tmp_path / "go").touch()
    until(lambda: not alive(pid), what="the end of the program")
    own.restart()
    out, _ = process.communicate(timeout=seconds(30))
    assert process.returncode == 3
    assert out.decode().split() == [str(i) for i in range(1, 5001)]


def test_run_over_a_detach(own, cli, tmp_path):
    process = cli.begin("run", "--shell", held("go", "echo one", "echo two; exit 7"))
    read_until(process, b"one\n")
    assert cli("shutdown", "--jobs", "detach").returncode == 0
    own.restart()
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (7, b"two\n")


def test_input_goes_on(own, cli):
    process = cli.begin("run", "--shell", "while read x; do echo got $x; done", stdin=subprocess.PIPE)
    process.stdin.write(b"a\n")
    read_until(process, b"got a\n")
    own.restart()
    read_until(process, b"was restarted", stream="stderr")
    process.stdin.write(b"b\n")
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (0, b"got b\n")


@pytest.mark.parametrize("orderly", [False, True])
@pytest.mark.parametrize("runs", [True, False])
def test_input_on_its_way_when_the_daemon_goes(own, cli, tmp_path, orderly, runs):
    """More than pipe and buffer hold, so that there is always a piece that was not answered; the program reads, or has not begun."""
    data = b"".join(b"%06d\n" % i for i in range(400_000))
    (tmp_path / "input").write_bytes(data)
    if not runs:
        cli.out("submit", "--lock", "gate", "--shell", held("go"))
    with (tmp_path / "input").open("rb") as source, (tmp_path / "output").open("wb") as sink:
        script = "while dd bs=64k count=8 iflag=fullblock status=none of=piece; [ -s piece ]; do cat piece; sleep 0.1; done; exit 7"
        process = cli.begin("run", "--lock", "gate", "--shell", script, stdin=source, stdout=sink)
        if runs:
            until(lambda: (tmp_path / "output").stat().st_size > 0, what="the first piece")
        else:
            until(lambda: len(listed(own)) == 2, what="the job")
        for _ in range(KILLS):
            if orderly:
                assert cli("shutdown", "--jobs", "detach").returncode == 0
            own.restart()
            read_until(process, b"was restarted", stream="stderr")
        (tmp_path / "go").touch()
        _, err = process.communicate(timeout=seconds(60))
    assert (process.returncode, (tmp_path / "output").read_bytes() == data) == (7, True), err


def test_input_on_its_way_when_the_runner_is_stopped_over_restarts(own, cli, tmp_path):
    data = b"".join(b"%06d\n" % i for i in range(100_000))
    (tmp_path / "input").write_bytes(data)
    with (tmp_path / "input").open("rb") as source:
        process = cli.begin("run", "--shell", "echo $$; " + held("go", after="cat"), stdin=source)
        runner = runner_of(int(read_until(process, b"\n")))
        freeze(runner)
        try:
            for _ in range(2):
                own.restart()
                read_until(process, b"was restarted", stream="stderr")
                until(lambda: own.connect().call("daemon.stats")["connections"]["open"] > 1, what="the program to be back")
        finally:
            os.kill(runner, signal.SIGCONT)
        (tmp_path / "go").touch()
        out, err = process.communicate(timeout=seconds(60))
    assert (process.returncode, out == data) == (0, True), err


def test_followed_output_and_wait(own, cli, tmp_path):
    number = int(cli.out("submit", "--shell", held("go", "seq 3000", "seq 3001 6000; exit 5")))
    waiter = cli.begin("wait", number)
    until_streams(own, 1)
    follower = cli.begin("output", "-f", "--exit-status", number)
    seen = read_until(follower, b"\n3000\n")
    own.restart()
    read_until(follower, b"was restarted", stream="stderr")
    (tmp_path / "go").touch()
    out, _ = follower.communicate(timeout=seconds(30))
    assert (seen + out).decode().split() == [str(i) for i in range(1, 6001)]
    assert follower.returncode == 5
    out, _ = waiter.communicate(timeout=seconds(30))
    assert (waiter.returncode, out) == (5, f"{number} 5\n".encode())


@pytest.mark.parametrize("order", [[], ["--keep-order"]])
def test_results(own, cli, tmp_path, order):
    ids = [int(cli.out("submit", "--group", "r", "--shell", held(f"go{i}", after=f"exit {i}"))) for i in range(4)]
    process = cli.begin("results", "--group", "r", "--jsonl", *order)
    out = b""
    for i in range(4):
        (tmp_path / f"go{i}").touch()
        out += read_until(process, b"\n")
        if i < 3:
            own.restart()
            read_until(process, b"was restarted", stream="stderr")
    out += process.communicate(timeout=seconds(30))[0]
    assert [json.loads(line)["id"] for line in out.splitlines()] == ids
    assert process.returncode == 1


def test_wait_for_ids_of_which_some_were_told(own, cli, tmp_path):
    early = int(cli.out("submit", "--no-durable", "true"))
    late = int(cli.out("submit", "--shell", held("go")))
    process = cli.begin("wait", early, late)
    assert read_until(process, b"\n") == f"{early} 0\n".encode()
    own.restart()
    read_until(process, b"was restarted", stream="stderr")
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (0, f"{late} 0\n".encode())


def test_map(own, cli, tmp_path):
    """Each item runs once and is told once, whatever was under way when the daemon was killed."""
    count = 400
    process = cli.begin("map", "-k", "-j", 50, "--shell", "echo $STINT_ITEM | tee -a ran; sleep 0.01", ":::", *range(count))
    for stop in (20, 120, 220):
        until(lambda: Path(tmp_path / "ran").exists() and len((tmp_path / "ran").read_text().split()) > stop, what=f"{stop} runs")
        own.restart()
    out, err = process.communicate(timeout=seconds(60))
    assert out.decode().split() == [str(i) for i in range(count)], err.decode()
    assert process.returncode == 0
    assert sorted(map(int, (tmp_path / "ran").read_text().split())) == list(range(count))


def test_what_is_not_durable_is_named(own, cli):
    process = cli.begin("run", "--no-durable", "--shell", "echo one; exec sleep 60")
    read_until(process, b"one\n")
    mapped = cli.begin("map", "--no-durable", "--group", "m", "sleep", ":::", 60, 61)
    until_running(own, 3)
    waiter = cli.begin("wait", "--group", "m")
    until_streams(own, 4)
    own.restart()
    for one, what in ((process, b"job "), (mapped, b"2 jobs of group m"), (waiter, b"the group")):
        _, err = one.communicate(timeout=seconds(30))
        assert one.returncode == 125 and what in err and b"did not survive" in err, err
