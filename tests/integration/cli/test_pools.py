"""stint pool, submit --pool, map --pool."""

import json
import sys
from pathlib import Path

from harness import until

WORKER = [sys.executable, "-S", str(Path(__file__).parents[1] / "pool_worker.py")]


def test_pool(cli, client):
    cli.out("pool", "set", "--size", 2, "--env", "A=1", "--idle-timeout", "1m", "work", "--", *WORKER)
    job = int(cli.out("submit", "--pool", "work", '{"do": "environment", "name": "A"}'))
    assert client.wait(job)[0]["result"]["A"] == "1"
    assert client.wait(int(cli.out("submit", "--pool", "work", "--args", "[1]")))[0]["result"] == [1]
    assert client.wait(int(cli.out("submit", "--pool", "work")))[0]["outcome"] == "succeeded"
    assert json.loads(cli.out("run", "--pool", "work", '{"a": 1}')) == {"a": 1}
    assert json.loads(cli.out("run", "--pool", "work", "--args", "[1]")) == [1]
    assert sorted(cli.out("map", "--pool", "work", ":::", "1", "2", "three").split()) == ['"three"', "1", "2"]
    assert cli.out("map", "-k", "--pool", "work", "--args", '{"x": "{}"}', ":::", "a", "b").split("\n") == ['{"x":"a"}', '{"x":"b"}', ""]
    done = cli("run", "--pool", "work", "--args", '{"do": "say", "text": "hello\\n"}')
    assert (done.returncode, done.stderr) == (0, b"hello\n")
    assert cli("run", "--pool", "work", "--args", '{"do": "exit", "code": 3}').returncode == 1
    assert cli.out("pool", "list", "--format", "{name} {size} {idle_timeout}") == "work 2 60\n"
    assert "work" in cli.out("pool", "list")
    hanging = int(cli.out("submit", "--grace", "0", "--pool", "work", '{"do": "hang"}'))
    assert "unfinished" in cli.fails(1, "pool", "remove", "work")
    cli.out("pool", "remove", "--force", "work")
    assert client.wait(hanging)[0]["outcome"] == "cancelled"
    until(lambda: cli.out("pool", "list", "-q") == "", 20, "the end of the pool")
    assert "no pool 'work'" in cli.fails(66, "submit", "--pool", "work")


def test_words(cli):
    assert "did you mean 'remove'" in cli.fails(64, "pool", "remov", "x")
    assert "only one of" in cli.fails(64, "run", "--pool", "p", "--task", "echo")
    assert "the message" in cli.fails(64, "submit", "--pool", "p", "{")
    assert "NAME -- PROGRAM" in cli.fails(64, "pool", "set", "x")
