"""stint submit: ids and nothing else; batches of whole specifications."""

import json


def test_prints_the_id_and_nothing_else(cli):
    done = cli("submit", "--", "true")
    assert done.returncode == 0
    assert done.stderr == b""
    number = int(done.stdout)
    assert cli.out("wait", number) == f"{number} 0\n"


def test_does_not_touch_standard_input(cli):
    number = int(cli.out("submit", "cat", input=b"for somebody else"))
    cli.out("wait", number)
    assert cli.out("output", number) == ""
    number = int(cli.out("submit", "--stdin", "cat", input=b"for \xff it"))
    cli.out("wait", number)
    assert cli("output", number).stdout == b"for \xff it"


def test_options_reach_the_record(cli):
    number = cli.out("submit", "--name", "n", "--tag", "a", "--tag", "b", "--group", "g", "--priority", "-3", "--timeout", "1m",
                     "--grace", "2.5", "--leftovers", "keep", "--daemon-job", "--no-durable", "--output-limit", "64K", "true").strip()
    record = json.loads(cli.out("show", number, "--json"))
    expected = {"name": "n", "tags": ["a", "b"], "group": "g", "priority": -3, "timeout": 60, "grace": 2.5, "leftovers": "keep",
                "daemon": True, "durable": False, "output_limit": 65536, "command": ["true"]}
    assert {key: record[key] for key in expected} == expected


def test_batch(cli):
    jobs = [{"command": ["echo", str(i)], "group": "batch"} for i in range(5)] + [{"task": "echo", "args": {"x": 1}, "group": "batch"}]
    text = "\n\n".join(map(json.dumps, jobs)) + "\n"
    ids = cli.out("submit", "--batch", "-", input=text).split()
    assert len(ids) == 6
    assert cli("wait", *ids).returncode == 0
    assert cli.out("output", ids[3]) == "3\n"


def test_batch_gets_our_directory(cli, tmp_path):
    (tmp_path / "jobs").write_text('{"command": ["pwd"]}\n{"command": ["pwd"], "cwd": "/"}')
    first, second = cli.out("submit", "--batch", tmp_path / "jobs", "--group", "b2").split()
    cli.out("wait", "--group", "b2")
    assert cli.out("output", first) == f"{tmp_path}\n"
    assert cli.out("output", second) == "/\n"


def test_batch_names_the_line(cli):
    text = '{"command": ["true"]}\n\n{"command": ["true"], "nmae": "x"}\n'
    message = cli.fails(65, "submit", "--batch", "-", input=text)
    assert "line 3" in message and "nmae" in message and "name" in message
    assert "line 2 is not a JSON object" in cli.fails(65, "submit", "--batch", "-", input='{"task":"echo"}\nnonsense\n')
    assert "line 1" in cli.fails(65, "submit", "--batch", "-", input='{"command": ["true"], "nice": 1}')


def test_large_batch(cli):
    text = "".join(f'{{"task": "echo", "args": {i}, "executor": "coroutine"}}\n' for i in range(25_000))
    ids = cli.out("submit", "--batch", "-", "--group", "large", input=text).split()
    assert len(ids) == 25_000 and len(set(ids)) == 25_000
    assert cli("wait", "--group", "large", "-q").returncode == 0


def test_json(cli):
    answer = json.loads(cli.out("submit", "--json", "true"))
    assert answer["id"] > 0 and answer["duplicate"] is False
