"""docs/examples: the plain shell scripts do what they say, against a daemon of six slots everywhere."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from harness import SANITIZED, seconds

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


def test_every_example_is_tested():
    assert sorted(path.name for path in EXAMPLES.glob("*.sh")) == ["sleeps.sh", "submit-and-results.sh"]


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
