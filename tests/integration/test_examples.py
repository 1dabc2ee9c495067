"""docs/examples: the scripts do what they say, against a daemon of six slots everywhere."""

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import BIN, SANITIZED, Daemon, seconds

PYTHON = Path(__file__).resolve().parents[2] / "client" / "python"
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
SUBMITTED = list("5132451234")


@pytest.fixture(scope="module")
def settings():
    return {"process__slots": 6, "thread__threads": 6, "coroutine__slots": 6}


@pytest.fixture
def example(daemon):
    """Starts a script of docs/examples against the daemon."""

    def begin(name, *arguments):
        environment = {**os.environ, "STINT_SOCKET": str(daemon.socket)}
        return subprocess.Popen([EXAMPLES / name, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    return begin


def finish(script):
    output, errors = script.communicate(timeout=seconds(60))
    assert script.returncode == 0, errors
    assert errors == ""
    return output


# What each row of the toolbox prints, in bash and in Python alike.
PRINTED = {
    "start-name-list": "first\nsecond\nthird\nit knows its id\nsecond\nthird\n",
    "stop-flag": "last words\ncancelled\nsaw the event\n",
    "stop-flag-ignored": "cancelled by signal 9\nits child is gone\n",
    "join": "not yet: 75\nit has ended\nand still has\nno such job: 66\n",
    "shared-results": "10 succeeded\n",
    "producers-and-consumers": "".join(f"product {number}\n" for number in range(10)),
    "race": "-600\n",
    "lock": "not enough money\n200\n",
    "semaphore": "2 at most\n20 succeeded\n",
    "event": "nobody runs yet\nrunner 1\nrunner 2\nrunner 3\n",
    "barrier": "three wait: True\n3 passed\n",
    "in-order": "5\n1\n3\n2\n4\n5\n1\n2\n3\n4\n",
    "one-by-one": "5\n1\n3\n2\n",
    "as-completed": "1\n3\n5\n",
    "exceptions": "exit code 3\nno such file\n2 succeeded\n",
    "process-pool": "succeeded\nsucceeded\nsignal 11\nstill here\n",
    "worker-pool": "1\n4\n9\nfailed: crashed\n16\n",
    "large-values": '"outcome":"succeeded"\n',
    "coroutines": "1000\n",
    "coroutine-limit": "1000 have ended, at most 50 inside\n",
    "executor-choice": "ba7816bf8f01\n" * 3,
    "health-checks": 'mail: status 503 Service Unavailable\ntold: {"down":"mail"}\n',
}
# These want the daemon to themselves.
ALONE = {
    "daemon-job": "written\nthe reader: cancelled\n",
    "cancel-pending": "cancelled\nit never started\n",
}
# Run by tests of their own; the plug-in is built outside the tree in test_plugins.py.
OTHERS = ["plugin", "sleeps.sh", "submit-and-results.sh"]


def test_every_example_is_tested():
    expected = [name + suffix for name in {**PRINTED, **ALONE} for suffix in (".py", ".sh")]
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.name != "README.md") == sorted([*expected, *OTHERS])


def run_example(daemon, name):
    program = [sys.executable, "-B", EXAMPLES / name] if name.endswith(".py") else [EXAMPLES / name]
    environment = {**os.environ, "STINT_SOCKET": str(daemon.socket), "PYTHONPATH": str(PYTHON), "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(program, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds(60))


@pytest.fixture(scope="module")
def several():
    """All that may run beside each other, four at a time: they are short, and mostly wait."""
    daemon = Daemon(process__slots=16)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield {name + suffix: pool.submit(run_example, daemon, name + suffix) for name in PRINTED for suffix in (".sh", ".py")}
    daemon.stop()


@pytest.mark.parametrize("suffix", [".sh", ".py"])
@pytest.mark.parametrize("name", PRINTED)
def test_a_row_of_the_toolbox(several, name, suffix):
    done = several[name + suffix].result()
    assert (done.stdout, done.stderr, done.returncode) == (PRINTED[name], "", 0)


@pytest.mark.parametrize("suffix", [".sh", ".py"])
@pytest.mark.parametrize("name", ALONE)
def test_a_row_that_wants_the_daemon_alone(start, name, suffix):
    done = run_example(start(process__slots=6), name + suffix)
    assert (done.stdout, done.stderr, done.returncode) == (ALONE[name], "", 0)


def test_the_barrier_leaves_nothing_behind(start):
    daemon = start(process__slots=6)
    run_example(daemon, "barrier.py")
    with daemon.connect() as client:
        assert (client.call("channel.list")["channels"], client.call("event.list")["events"], client.call("lock.list")["locks"]) == ([], [], [])


def test_submit_and_results_in_one_write(example):
    messages = [json.loads(line) for line in finish(example("submit-and-results.sh")).splitlines()]
    answers = {message["id"]: message["result"] for message in messages if "id" in message}
    assert answers[1]["count"] == 3
    items = {m["params"]["item"]["index"]: m["params"]["item"] for m in messages if m.get("method") == "stream.item"}
    assert items[0]["outcome"] == "succeeded" and items[0]["stdout"]["data"] == "hello from a program\n"
    assert items[1]["outcome"] == "failed" and items[1]["exit_code"] == 3
    assert items[1]["stderr"]["data"] == "this one fails\n"
    assert items[2]["result"]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert messages[-1]["method"] == "stream.end" and messages[-1]["params"]["reason"] == "complete"


@pytest.mark.parametrize("kind", ["program", "thread", "coroutine"])
def test_sleeps_in_order_of_submission(example, kind):
    assert finish(example("sleeps.sh", kind, "submission")).split() == SUBMITTED


@pytest.mark.parametrize("kind", ["program", "thread", "coroutine"])
def test_sleeps_in_order_of_completion(example, kind):
    """Six slots: 5 1 3 2 4 5 begin at once, 1 at 0.1 s, 2 and 3 at 0.2 s, 4 at 0.3 s; what ends together may come in any order."""
    script = example("sleeps.sh", kind, "completion")
    arrivals = []
    for line in script.stdout:
        arrivals.append((line.strip(), time.monotonic()))
    finish(script)
    order = [tenths for tenths, _ in arrivals]
    assert sorted(order) == sorted(SUBMITTED)
    assert order[0] == "1"
    assert order[-1] == "4"
    if not SANITIZED:  # where the build itself takes tenths of a second, they decide nothing
        assert set(order[1:3]) == {"1", "2"}
        assert order[3] == "3"
    # Each result came when its job ended, not all at the end.
    assert arrivals[-1][1] - arrivals[0][1] > 0.3
