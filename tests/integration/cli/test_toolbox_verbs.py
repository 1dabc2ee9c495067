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
    waits = cli.begin("event", "wait", "go")
    until(lambda: client.call("event.list")["events"])
    assert cli.out("event", "list", "--format", "{name} {set} {waiting}") == "go false 1\n"
    cli.out("event", "set", "go")
    assert waits.wait(30) == 0
    cli.out("event", "wait", "go")
    cli.out("event", "clear", "go")
    assert cli.out("event", "list", "-q") == ""
    assert "did you mean 'wait'" in cli.fails(64, "event", "wiat", "x")
