"""stint channel and stint event: what scripts do with them."""

import json

from harness import until


def test_channel(cli, client):
    cli.out("channel", "open", "materials", "--capacity", 3)
    cli.out("channel", "put", "materials", "wood", "iron bar")
    cli.out("channel", "put", "materials", input="coal\n")
    assert cli.out("channel", "get", "materials") == "wood\n"
    assert cli.out("channel", "get", "materials", "-n", 9) == "iron bar\ncoal\n"
    assert "empty" in cli.fails(75, "channel", "get", "materials", "--timeout", "10ms")
    cli.out("channel", "put", "materials", "--jsonl", '{"a": 1}', '"text"')
    assert cli.out("channel", "get", "materials", "--jsonl", "-n2") == '{"a":1}\n"text"\n'
    cli.out("channel", "put", "materials", "1", "2", "3")
    assert "full" in cli.fails(75, "channel", "put", "materials", "4", "--timeout", "0")
    assert cli.out("channel", "list", "--format", "{name} {items} {capacity}") == "materials 3 3\n"
    cli.out("channel", "close", "materials")
    assert json.loads(cli.out("channel", "get", "materials", "-n9", "--json")) == {"items": ["1", "2", "3"]}
    assert "closed and empty" in cli.fails(1, "channel", "get", "materials")
    assert "closed" in cli.fails(1, "channel", "put", "materials", "5")
    cli.out("channel", "remove", "materials")
    assert "no channel" in cli.fails(66, "channel", "get", "materials")


def test_channel_words(cli):
    assert "did you mean 'close'" in cli.fails(64, "channel", "clos", "x")
    assert "name is missing" in cli.fails(64, "channel", "get")
    assert "what is to be done" in cli.fails(64, "channel")
    assert "unexpected" in cli.fails(64, "channel", "get", "a", "b")
    assert "the item" in cli.fails(64, "channel", "put", "a", "--jsonl", "{")


def test_event(cli, client):
    assert "not set" in cli.fails(75, "event", "wait", "go", "--timeout", "0")
    assert cli.fails(75, "event", "wait", "go", "--timeout", "0", "-q") == ""
    waits = cli.begin("event", "wait", "go")
    until(lambda: client.call("event.list")["events"])
    assert cli.out("event", "list", "--format", "{name} {set} {waiting}") == "go false 1\n"
    cli.out("event", "set", "go")
    assert waits.wait(30) == 0
    cli.out("event", "wait", "go")
    cli.out("event", "clear", "go")
    assert cli.out("event", "list", "-q") == ""
    assert "did you mean 'wait'" in cli.fails(64, "event", "wiat", "x")


def test_lock(cli, client):
    assert cli.out("lock", "l", "--", "echo", "held") == "held\n"
    assert cli("lock", "l", "--", "sh", "-c", "exit 7").returncode == 7
    assert cli("lock", "l", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert cli("lock", "l", "--", "no-such-program").returncode == 127
    holder = cli.begin("lock", "l", "--", "sleep", "60")
    until(lambda: client.call("lock.list")["locks"])
    assert "not free" in cli.fails(75, "lock", "l", "--timeout", "0", "--", "true")
    assert cli.out("sem", "list", "--locks", "--format", "{name} {used} {waiting}") == "l 1 0\n"
    waits = cli.begin("lock", "l", "--", "echo", "mine")
    until(lambda: client.call("lock.list")["locks"][0]["waiting"] == 1)
    holder.kill()
    assert waits.communicate(timeout=30)[0] == b"mine\n"
    until(lambda: client.call("lock.list")["locks"] == [])
    assert "program that runs" in cli.fails(64, "lock", "l")


def test_locks_in_a_circle(cli, client, tmp_path):
    """a then b, and b then a: one of the two is told."""
    inner = "touch {mine}; while [ ! -e {theirs} ]; do sleep 0.01; done; exec stint lock {next} -- true"
    one = cli.begin("lock", "a", "--", "sh", "-c", inner.format(mine=tmp_path / "1", theirs=tmp_path / "2", next="b"))
    two = cli.begin("lock", "b", "--", "sh", "-c", inner.format(mine=tmp_path / "2", theirs=tmp_path / "1", next="a"))
    codes = sorted([one.wait(30), two.wait(30)])
    assert codes == [0, 1]


def test_sem(cli, client):
    cli.out("sem", "set", "gpu", 2)
    assert cli.out("sem", "acquire", "gpu", "-n", 2, "--", "stint", "sem", "list", "--format", "{name} {used} {permits}") == "gpu 2 2\n"
    assert "can never be had" in cli.fails(65, "sem", "acquire", "gpu", "-n3", "--", "true")
    assert "no semaphore" in cli.fails(66, "sem", "acquire", "gpo", "--", "true")
    assert "not a number" in cli.fails(64, "sem", "set", "gpu", "two")
    cli.out("run", "--semaphore", "gpu", "--lock", "x", "--concurrency", "k=1", "--", "true")
    record = json.loads(cli.out("show", cli.out("submit", "--semaphore", "gpu=2", "--lock", "x", "--", "true").strip(), "--json"))
    assert record["semaphores"] == {"gpu": 2} and record["locks"] == ["x"]
    assert "no number" in cli.fails(64, "submit", "--semaphore", "gpu=x", "--", "true")
    assert "N is missing" in cli.fails(64, "submit", "--concurrency", "k", "--", "true")
    cli.out("map", "--semaphore", "gpu", "true", ":::", "1", "2", "3")


def test_inside_a_job(cli, client):
    """A job's own stint is the job: its submits name it, its locks are its."""
    job = int(cli.out("submit", "--", "sh", "-c", "stint submit -- true; stint lock mine -- stint sem list --locks --jsonl").strip())
    record = client.wait(job)[0]
    child, row = client.output(job).decode().splitlines()
    assert record["outcome"] == "succeeded"
    assert client.wait(int(child))[0]["parent"] == job
    assert json.loads(row)["holders"][0]["job"] == job
