"""run, output -f, wait, results and map while their connection breaks and the daemon goes on: nothing is lost, nothing comes twice."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness import freeze, seconds, until
from program import Cli, read_until
from proxy import Proxy

BIG = "i=0; while [ $i -lt 40000 ]; do echo line $i of many; i=$((i+1)); done"
BIG_TEXT = "".join(f"line {i} of many\n" for i in range(40000))

# Of several answers of job.output, so that a break comes behind the first of them.
LARGE = "seq 400000"
LARGE_TEXT = "".join(f"{i}\n" for i in range(1, 400_001))


@pytest.fixture
def proxy(daemon, tmp_path):
    one = Proxy(tmp_path / "proxy", daemon.socket)
    yield one
    one.close()


@pytest.fixture
def far(proxy, tmp_path):
    """stint, with the proxy between it and the daemon."""
    program = Cli(tmp_path, STINT_SOCKET=str(proxy.path))
    yield program
    program.end()


def is_in(signals, pid, number):
    """Whether the process has the signal in this set of its status: SigCgt, those that it has a handler for, or ShdPnd, pending."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(signals + ":")]
    return int(line.split()[1], 16) >> (number - 1) & 1


def wait_for(name):
    return f"until [ -e {name} ]; do sleep 0.02; done"


def test_run_goes_on_where_it_was(far, proxy, tmp_path):
    process = far.begin("run", "--shell", f"echo one; echo err >&2; {wait_for('go')}; echo two; exit 7")
    read_until(process, b"one\n")
    proxy.cut()
    read_until(process, b"was lost", stream="stderr")
    proxy.until_accepted(2)
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (7, b"two\n")


def test_run_waits_for_a_daemon_that_is_away(far, proxy, tmp_path):
    process = far.begin("run", "--shell", f"echo one; {wait_for('go')}; echo two")
    read_until(process, b"one\n")
    proxy.shut()
    read_until(process, b"was lost", stream="stderr")
    (tmp_path / "go").touch()
    proxy.open()
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (0, b"two\n")


def test_interrupt_while_the_daemon_is_away(far, proxy, client):
    process = far.begin("run", "--name", "away", "--shell", "echo one; exec sleep 60")
    read_until(process, b"one\n")
    proxy.shut()
    read_until(process, b"was lost", stream="stderr")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=seconds(20))
    assert process.returncode == 125
    assert b"interrupted" in err
    (job,) = client.call("job.list", name="away", state="running")["jobs"]
    assert str(job["id"]).encode() in err
    client.call("job.cancel", ids=[job["id"]], force=True)
    client.wait(job["id"])


def test_another_daemon_is_not_taken_for_this_one(far, proxy, start):
    process = far.begin("run", "--shell", "echo one; exec sleep 5")
    read_until(process, b"one\n")
    proxy.daemon = start().socket
    proxy.cut()
    _, err = process.communicate(timeout=seconds(30))
    assert process.returncode == 125
    assert b"another daemon" in err


@pytest.mark.parametrize("sent", [3000, 70_001])
def test_output_is_whole(far, proxy, sent):
    proxy.cut_each(sent, times=6)
    done = far("run", "--shell", BIG)
    assert done.returncode == 0 and proxy.cuts_left == 0
    assert done.stdout.decode() == BIG_TEXT


def test_followed_output_is_whole(far, proxy, cli):
    number = int(cli.out("submit", "--shell", BIG + "; exit 5"))
    proxy.cut_each(70_001, times=6)
    done = far("output", "-f", "--exit-status", number)
    assert done.returncode == 5 and proxy.cuts_left == 0
    assert done.stdout.decode() == BIG_TEXT


def test_large_result_of_a_task(far, proxy):
    proxy.cut_at("job.spec", forward=True)
    text = "x" * 10_000
    assert json.loads(far.out("run", "--task", "echo", "--args", json.dumps(text))) == text
    assert proxy.trigger is None


def test_submit_whose_answer_is_lost(far, proxy):
    for verb in ("run", "submit"):
        proxy.cut_at("job.submit", forward=True)
        message = far.fails(125, verb, "--no-durable", "true")
        assert "not known" in message and "stint list" in message


def test_batch_whose_answer_is_lost(far, proxy):
    proxy.cut_at("job.submit_many", forward=True)
    line = '{"command":["true"],"durable":false}\n'
    message = far.fails(125, "submit", "--batch", "-", input=line + "\n" + line)
    assert "lines 1 to 3 is not known" in message


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("verb", ["run", "submit", "batch", "map"])
def test_durable_work_is_handed_over_once(far, proxy, cli, verb, forward):
    group = f"once-{verb}-{forward}"
    proxy.cut_at("job.submit", forward)
    if verb == "batch":
        done = far("submit", "--group", group, "--batch", "-", input='{"command":["true"]}\n')
    else:
        done = far(verb, "--group", group, "true", *([":::", "x"] if verb == "map" else []))
    assert (done.returncode, proxy.trigger) == (0, None), done
    cli("wait", "--group", group)
    assert len(cli.out("list", "-q", "--group", group).split()) == 1


@pytest.mark.parametrize("interrupts, code", [(1, 125), (2, 130)])
def test_interrupt_before_an_answer(cli, start, interrupts, code):
    """The first is for the job, which is not known yet; with the second the user does not wait for it."""
    own = start()
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    freeze(own.pid)
    try:
        process = alone.begin("run", "--name", "early", "--delay", "1h", "true")
        until(lambda: is_in("SigCgt", process.pid, signal.SIGINT), what="the handler of SIGINT")
        process.send_signal(signal.SIGINT)
        if interrupts == 2:
            # Two of the same that are pending are one.
            until(lambda: not is_in("ShdPnd", process.pid, signal.SIGINT), what="the handler to have run")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=seconds(20))
            assert b"whether it took the job is not known" in err
    finally:
        os.kill(own.pid, signal.SIGCONT)
    assert process.wait(seconds(20)) == code
    with own.connect() as client:
        (job,) = until(lambda: client.call("job.list", name="early")["jobs"], what="the job")
        assert job["state"] == ("finished" if interrupts == 1 else "waiting")
    alone.end()


def test_input_goes_on(far, proxy):
    process = far.begin("run", "--shell", "while read x; do echo got $x; done", stdin=subprocess.PIPE)
    process.stdin.write(b"a\n")
    read_until(process, b"got a\n")
    proxy.cut()
    read_until(process, b"was lost", stream="stderr")
    proxy.until_accepted(2)
    process.stdin.write(b"b\n")
    out, _ = process.communicate(timeout=seconds(30))
    assert (process.returncode, out) == (0, b"got b\n")


@pytest.mark.parametrize("forward", [True, False])
def test_end_of_input_is_not_lost(far, proxy, forward):
    proxy.cut_at('"end":true', forward)
    assert far("run", "cat", input=b"abc").stdout == b"abc"
    assert proxy.trigger is None


@pytest.mark.parametrize("forward", [True, False])
def test_input_on_its_way_comes_once(far, proxy, forward):
    proxy.cut_at('"data":"abc', forward)
    done = far("run", "cat", input=b"abc")
    assert (done.returncode, done.stdout, proxy.trigger) == (0, b"abc", None), done.stderr


def test_wait(far, proxy, cli):
    ids = [int(cli.out("submit", "--group", "w", "--shell", f"exit {code}")) for code in range(8)]
    proxy.cut_each(1500, times=4)
    done = far("wait", "--group", "w")
    assert done.returncode == 1 and proxy.cuts_left == 0
    assert sorted(done.stdout.decode().splitlines()) == [f"{number} {code}" for code, number in enumerate(ids)]


@pytest.mark.parametrize("order", [[], ["--keep-order"]])
def test_results(far, proxy, cli, order):
    jobs = "".join(json.dumps({"shell": f"echo {i}; exit {i % 3}"}) + "\n" for i in range(30))
    group = f"r{len(order)}"
    ids = [int(line) for line in cli.out("submit", "--group", group, "--batch", "-", input=jobs).split()]
    proxy.cut_each(3000 if not order else 20_000, times=4)
    done = far("results", "--group", group, "--jsonl", *order)
    assert done.returncode == 1 and proxy.cuts_left == 0
    seen = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert (seen if order else sorted(seen)) == ids


def test_large_outputs_of_results(far, proxy, cli):
    cli.out("submit", "--group", "large", "--shell", LARGE)
    cli.out("submit", "--group", "large", "--shell", LARGE)
    proxy.cut_each(1_500_000, times=2)
    done = far("results", "--group", "large", "--output")
    assert done.returncode == 0 and proxy.cuts_left == 0
    assert done.stdout.decode() == LARGE_TEXT * 2


def test_map(far, proxy):
    proxy.cut_each(20_000, times=5)
    done = far("map", "-k", "echo", ":::", *range(300))
    assert done.returncode == 0 and proxy.cuts_left == 0
    assert done.stdout.split() == [str(i).encode() for i in range(300)]


def test_large_outputs_of_map(far, proxy):
    proxy.cut_each(1_500_000, times=3)
    done = far("map", "-k", "--shell", LARGE, ":::", 1, 2, 3)
    assert done.returncode == 0 and proxy.cuts_left == 0
    assert done.stdout.decode() == LARGE_TEXT * 3


def test_map_whose_submit_is_not_answered(far, proxy):
    proxy.cut_at("job.submit_many", forward=True)
    done = far("map", "-k", "echo", ":::", *range(20))
    assert (done.returncode, proxy.trigger) == (0, None)
    assert done.stdout.split() == [str(i).encode() for i in range(20)]


def test_map_whose_submit_did_not_arrive(far, proxy):
    proxy.cut_at("job.submit_many", forward=False)
    message = far.fails(125, "map", "--no-durable", "--group", "away", "echo", ":::", "a", "b")
    assert "did not get them" in message and "items from 1 on" in message


def test_map_that_loses_the_connection_again_while_it_looks(far, proxy):
    proxy.cut_at("job.submit_many", forward=True)
    proxy.cut_each(1200, times=3)
    done = far("map", "-k", "echo", ":::", *range(20))
    assert done.returncode == 0
    assert done.stdout.split() == [str(i).encode() for i in range(20)]
