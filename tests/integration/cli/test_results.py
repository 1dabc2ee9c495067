"""stint results, wait, output, list, show, why: what finished work looks like, in pipes and on terminals."""

import json
import os
import time

from harness import seconds, until


def submit(cli, *arguments):
    return int(cli.out("submit", *arguments))


def test_wait_prints_ids_and_codes(cli):
    good, bad = submit(cli, "true"), submit(cli, "--shell", "exit 3")
    assert cli("wait", good).returncode == 0
    done = cli("wait", bad)
    assert (done.returncode, done.stdout) == (3, f"{bad} 3\n".encode())
    done = cli("wait", good, bad)
    assert done.returncode == 1
    assert sorted(done.stdout.decode().splitlines()) == sorted([f"{good} 0", f"{bad} 3"])


def test_wait_any_fail_fast_and_timeout(cli):
    slow, quick, bad = submit(cli, "sleep", "60"), submit(cli, "true"), submit(cli, "--shell", "sleep 0.2; exit 5")
    assert cli.out("wait", "--any", slow, quick) == f"{quick} 0\n"
    assert cli("wait", "--fail-fast", slow, quick, bad).returncode == 5
    begin = time.monotonic()
    for verb in ("wait", "results"):
        assert "timed out" in cli.fails(75, verb, "--timeout", "0.2", slow)
        assert cli.fails(75, verb, "-q", "--timeout", "0", slow) == ""
    assert time.monotonic() - begin < seconds(10)
    cli.out("cancel", slow)
    assert cli("wait", slow).returncode == 125


def test_unknown_jobs_are_66(cli):
    for arguments in (["wait", "999999999"], ["show", "999999999"], ["output", "999999999"], ["wait", "--group", "never-was"],
                      ["cancel", "999999999"], ["why", "999999999"]):
        assert cli(*arguments).returncode == 66, arguments


def test_results_of_a_group_in_both_orders(cli):
    for wait in ("0.5", "0.1", "0.3"):
        submit(cli, "--group", "order", "--name", wait, "sleep", str(seconds(float(wait))))
    assert cli.out("results", "--group", "order", "--format", "{name}").split() == ["0.1", "0.3", "0.5"]
    assert cli.out("results", "--group", "order", "-k", "--format", "{name}").split() == ["0.5", "0.1", "0.3"]
    first = json.loads(cli.out("results", "--group", "order", "--jsonl").splitlines()[0])
    assert cli.out("results", "--group", "order", "--since", first["seq"], "--format", "{name}").split() == ["0.3", "0.5"]


def test_results_in_a_pipe_are_tab_separated(cli):
    number = submit(cli, "--name", "a\tb", "--shell", "exit 2")
    done = cli("results", number)
    assert done.returncode == 1
    cells = done.stdout.decode().rstrip("\n").split("\t")
    assert cells[:3] == [str(number), "failed", "2"]
    assert "a\\tb" in cells


def test_results_with_output(cli):
    ids = [submit(cli, "--shell", f"printf {word}; printf {word} >&2") for word in ("a", "b")]
    done = cli("results", "-k", "--output", *ids)
    assert (done.stdout, done.stderr) == (b"ab", b"ab")


def test_output_of_one_job(cli):
    number = submit(cli, "--shell", "printf out; printf err >&2; exit 6")
    assert cli("wait", number).returncode == 6
    done = cli("output", number)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out", b"err")
    assert cli("output", number, "--stderr").stdout == b""
    assert cli("output", number, "--stdout").stderr == b""
    assert cli("output", number, "--offset", "2", "--stdout").stdout == b"t"
    assert cli("output", number, "--exit-status").returncode == 6


def test_output_that_is_lost(cli, daemon):
    """A file that was shortened or taken away is no empty output, and will not come back."""
    number = submit(cli, "--shell", "head -c 300000 /dev/zero")
    assert cli("wait", number).returncode == 0
    file = daemon.state / "out" / f"{number}.1.stdout"
    for spoil in (lambda: os.truncate(file, 1000), lambda: os.truncate(file, 0), file.unlink):
        spoil()
        for follow in ((), ("-f",)):
            done = cli("output", *follow, number)
            assert (done.returncode, done.stdout) == (66, b"") and b"lost" in done.stderr, done
        error = daemon.connect().error("job.output", id=number)
        assert error.kind == "purged" and not error.data["retryable"], error


def test_output_follows_to_the_end(cli):
    number = submit(cli, "--shell", "echo one; sleep 0.3; echo two; exit 4")
    done = cli("output", "-f", "--exit-status", number)
    assert (done.returncode, done.stdout) == (4, b"one\ntwo\n")


def test_output_of_an_attempt(cli):
    number = submit(cli, "--retry", "2", "--retry-delay", "0", "--shell", "echo $STINT_ATTEMPT; echo e$STINT_ATTEMPT >&2; exit 1")
    cli("wait", number)
    assert cli("output", number, "--stdout").stdout == b"3\n"
    done = cli("output", number, "--attempt", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n", b"e1\n")
    assert cli("output", number, "--attempt", "2", "--stdout", "--offset", "1").stdout == b"\n"
    assert cli("output", "-f", number, "--attempt", "2").stdout == b"2\n3\n"
    assert cli("output", "-f", number).stdout == b"3\n"
    assert "attempt" in cli.fails(66, "output", number, "--attempt", "4")
    assert "--attempt" in cli.fails(64, "output", number, "--attempt", "0")


def test_output_of_more_than_one_chunk(cli):
    number = submit(cli, "--shell", "head -c 5000000 /dev/zero")
    cli.out("wait", number)
    assert cli("output", number).stdout == b"\0" * 5_000_000


def test_list_in_its_forms(cli):
    ids = [submit(cli, "--group", "listed", "--tag", "t", "--name", f"n{i}", "true") for i in range(3)]
    cli.out("wait", "--group", "listed")
    assert cli.out("list", "--group", "listed", "-q").split() == [str(number) for number in ids]
    lines = cli.out("list", "--group", "listed").splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(number) for number in ids]
    assert [job["name"] for job in json.loads(cli.out("list", "--group", "listed", "--json"))] == ["n0", "n1", "n2"]
    assert cli.out("list", "--group", "listed", "--format", "{id} {name}") == "".join(f"{number} n{i}\n" for i, number in enumerate(ids))
    assert len(cli.out("list", "--tag", "t", "-n", "2", "-q").split()) == 2
    assert json.loads(cli.out("list", "--group", "none-such", "--json")) == []
    assert "did you mean 'running'" in cli.fails(64, "list", "--state", "runing")


def test_times_are_for_whoever_reads_them(cli):
    number = submit(cli, "true")
    cli.out("wait", number)
    begun = json.loads(cli.out("show", "--json", number))["started_at"]
    assert f"started_at\t{begun}" in cli.out("show", number)
    text, code = cli.terminal("show", number, env={"TZ": "UTC-2"}).finish()
    assert code == 0
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begun + 7200)) in text


def test_list_on_a_terminal(cli):
    submit(cli, "--group", "screen", "--name", "evil\x1b]0;title\x07", "echo", "x" * 300)
    cli("wait", "--group", "screen")
    text, code = cli.terminal("list", "--group", "screen", columns=80).finish()
    assert code == 0
    lines = text.replace("\r", "").splitlines()
    assert "STATUS" in lines[0] and "\x1b[1m" in lines[0]
    assert "\x1b[32m" in lines[1]
    assert "\x1b]0" not in text and "\\x1b]0;title\\x07" in text
    plain, _ = cli.terminal("list", "--group", "screen", columns=80, env={"NO_COLOR": "1"}).finish()
    assert "\x1b" not in plain
    assert all(len(line) <= 80 for line in plain.replace("\r", "").splitlines())


def test_show(cli):
    number = submit(cli, "--name", "shown", "echo", "a b")
    cli.out("wait", number)
    fields = dict(line.split("\t", 1) for line in cli.out("show", number).splitlines())
    assert fields["id"] == str(number) and fields["outcome"] == "succeeded" and fields["command"] == "echo 'a b'"
    assert "env" not in json.loads(cli.out("show", number, "--json"))
    assert json.loads(cli.out("show", number, "--spec", "--json"))["env"]["LANG"] == "C.UTF-8"


def test_why(cli, start):
    from program import Cli

    own = start(process__slots=1)
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    first = submit(alone, "sleep", "60")
    second = submit(alone, "true")
    third = submit(alone, "true")
    assert "slots" in alone.out("why", third) and "1 ahead" in alone.out("why", third)
    with own.connect() as client:
        client.until_state(first, phase="running")
    assert "running" in alone.out("why", first)
    assert json.loads(alone.out("why", second, "--json"))["reasons"][0]["kind"] == "slots"
    alone.out("cancel", first)
    assert alone("wait", first, second, third).returncode == 1
    assert "succeeded" in alone.out("why", third)


def test_follow_all_of_mine(cli, client):
    process = cli.begin("results", "--jsonl")
    number = submit(cli, "--name", "followed", "true")
    seen = b""

    def there():
        nonlocal seen
        seen += process.stdout.read(65536) or b""
        return f'"id":{number}'.encode() in seen

    until(there, what="the result")
    process.terminate()
    assert process.wait(seconds(20)) == 128 + 15
