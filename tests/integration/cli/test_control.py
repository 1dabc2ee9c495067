"""stint cancel, signal, forget, status, tasks, call, shutdown, and what a mistake is answered with."""

import json
import subprocess

from harness import alive, seconds, until
from program import Cli, read_until


def submit(cli, *arguments):
    return int(cli.out("submit", *arguments))


def test_cancel(cli):
    ids = [submit(cli, "--group", "c", "sleep", "60") for _ in range(2)]
    assert "told to stop" in cli.out("cancel", *ids)
    assert cli("wait", *ids).returncode == 1
    assert "finished before" in cli.out("cancel", "--group", "c") or True
    assert "2 finished before" in cli.out("cancel", *ids)
    answer = json.loads(cli.out("cancel", "--json", *ids))
    assert sorted(answer["already_finished"]) == ids


def test_which_jobs_must_be_said(cli):
    assert "which jobs" in cli.fails(64, "cancel")
    assert "not both" in cli.fails(64, "cancel", "--group", "g", "1")
    assert "not a job's id" in cli.fails(64, "cancel", "x")
    assert "one job's id" in cli.fails(64, "show", "1", "2")
    assert "unexpected" in cli.fails(64, "list", "1")


def test_signal(cli, client):
    number = submit(cli, "--shell", "trap 'exit 8' USR1; echo ready; while :; do sleep 0.05; done")
    client.until_output(number, "ready")
    cli.out("signal", "usr1", number)
    assert cli("wait", number).returncode == 8
    assert "not a signal" in cli.fails(64, "signal", "NOPE", number)
    assert cli.fails(66, "signal", "TERM", "999999") == "stint: there is no job 999999\n"
    assert cli("signal", "TERM", number).returncode == 1


def test_forget(cli):
    number = submit(cli, "--group", "f", "true")
    cli.out("wait", number)
    assert cli.out("forget", number) == "1 forgotten\n"
    assert cli("show", number).returncode == 66
    assert "one of" in cli.fails(64, "forget")


def test_status(cli, daemon):
    fields = dict(line.split("\t", 1) for line in cli.out("status").splitlines())
    assert fields["pid"] == str(daemon.pid)
    document = json.loads(cli.out("status", "--json"))
    assert document["info"]["pid"] == daemon.pid and document["socket"] == str(daemon.socket)
    assert cli.out("status", "-q") == ""
    assert cli.out("status", "--format", "{info.pid} {stats.states.running}") == f"{daemon.pid} 0\n"


def test_status_without_a_daemon_is_69(cli):
    message = cli.fails(69, "status", "--socket", "/nowhere/s")
    assert "/nowhere/s" in message and "stintd --socket /nowhere/s" in message
    assert cli("--socket", "/nowhere/s", "status").returncode == 69
    message = cli.fails(69, "list", env={"STINT_SOCKET": "", "XDG_RUNTIME_DIR": str(cli.home)})
    assert f"{cli.home}/stint/stint.sock: not there" in message and "/run/stint/stint.sock" in message
    assert "longer than 107 bytes" in cli.fails(69, "status", "--socket", "/" + "x" * 200)


def test_tasks(cli):
    names = [line.split("\t")[0] for line in cli.out("tasks").splitlines()]
    assert {"digest", "echo", "fail", "sleep", "spin"} <= set(names)
    assert "digest" in cli.out("tasks", "-q").split()


def test_call(cli):
    assert json.loads(cli.out("call", "daemon.info"))["protocol"] == 1
    number = submit(cli, "true")
    cli.out("wait", number)
    assert json.loads(cli.out("call", "job.get", f'{{"id": {number}}}'))["id"] == number
    assert json.loads(cli.out("call", "job.get", "-", input=f'{{"id": {number}}}'))["id"] == number
    assert json.loads(cli.out("call", "job.results", f'{{"ids": [{number}]}}'))["id"] == number
    assert cli.out("call", "job.get", f'{{"id": {number}}}', "--format", "{outcome}") == "succeeded\n"
    assert "job.get" in json.loads(cli.out("call", "daemon.info", "--format", "{capabilities}"))


def test_call_that_is_refused(cli):
    assert "job.get" in cli.fails(64, "call", "job.gte")
    assert "not JSON" in cli.fails(64, "call", "job.get", "{")
    assert cli("call", "job.get", '{"id": "x"}').returncode == 65


def test_suggestions(cli):
    assert "did you mean 'submit'" in cli.fails(64, "sumbit", "true")
    assert "did you mean '--timeout'" in cli.fails(64, "run", "--timeuot", "1", "true")
    assert "no verb" in cli.fails(64)
    assert "stand after it" in cli.fails(64, "-q", "status")


def test_help(cli):
    overview = cli.out("--help")
    for verb in ("run", "submit", "map", "results", "wait", "list", "show", "output", "why", "cancel", "signal", "forget", "status",
                 "tasks", "call", "drain", "undrain", "shutdown"):
        assert f"\n  {verb} " in overview
        text = cli.out(verb, "--help")
        assert text == cli.out("help", verb)
        assert f"Usage: stint {verb}" in text and "Examples:\n  " in text and "--socket" in text
        assert "Excludes" not in text and "\n\n\n" not in text
    assert cli.out("--version").startswith("stint ")


def test_full_disk(cli):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(cli.command(["--help"]), stdout=full, stderr=subprocess.PIPE, env=cli.environment, timeout=seconds(20))
    assert done.returncode == 125
    assert b"cannot write to standard output" in done.stderr


def test_shutdown_detaches(cli, start):
    own = start()
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    number = submit(alone, "--shell", "until [ -e go ]; do sleep 0.01; done; echo done; exit 4")
    with own.connect() as client:
        pid = client.until_state(number, phase="running")["pid"]
    done = alone("shutdown")
    assert done.returncode == 0 and "the next one goes on" in done.stderr.decode()
    assert own.exit_code() == 0 and alive(pid)
    own.restart()
    (cli.home / "go").touch()
    assert alone.out("output", "-f", number) == "done\n"
    assert alone("wait", number).returncode == 4


def test_shutdown_drains(cli, start):
    own = start()
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    submit(alone, "sleep", "0.3")
    done = alone("shutdown", "--jobs", "drain")
    assert done.returncode == 0
    assert f"(pid {own.pid}) has stopped" in done.stderr.decode()
    assert own.process.wait(seconds(20)) == 0


def test_shutdown_cancels(cli, start):
    own = start()
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    submit(alone, "sleep", "60")
    runner = alone.begin("run", "sleep", "60")
    with own.connect() as client:
        until(lambda: len(client.call("job.list", state="running")["jobs"]) == 2, what="two running")
    assert alone("shutdown", "--jobs", "cancel").returncode == 0
    assert own.process.wait(seconds(20)) == 0
    assert runner.wait(seconds(40)) == 125


def test_drain(cli, start):
    own = start(process__slots=1)
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    running = submit(alone, "--shell", "until [ -e go ]; do sleep 0.01; done")
    with own.connect() as client:
        client.until_state(running)
    queued = submit(alone, "true")
    message = alone.fails(75, "drain", "--timeout", "0")
    assert "1 jobs are left" in message and "stint undrain" in message
    assert json.loads(alone("drain", "--queued", "--timeout", "0", "--json").stdout)["pending"] == [running, queued]
    assert "takes no new work" in alone.fails(75, "submit", "true")
    assert "items from 1 on have not run" in alone.fails(75, "map", "echo", ":::", "a")
    process = alone.begin("drain")
    until(lambda: "draining" in alone.out("why", queued), what="the drain")
    (cli.home / "go").touch()
    _, err = process.communicate(timeout=seconds(20))
    assert process.returncode == 0 and b"nothing runs" in err
    assert "draining" in alone.out("why", queued)
    assert alone("undrain").returncode == 0
    assert alone("wait", queued).returncode == 0
    assert alone("drain", "--queued", "-q").stderr == b""
    assert alone("undrain").returncode == 0
    alone.end()


def test_map_while_the_daemon_begins_to_drain(cli, start):
    """What was taken is finished and shown, the rest is named."""
    own = start(process__slots=2)
    alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
    process = alone.begin("map", "-j", "2", "--shell", "echo $STINT_ITEM; until [ -e go ]; do sleep 0.01; done", ":::", 1, 2, 3)
    with own.connect() as client:
        until(lambda: len(client.call("job.list", state="running")["jobs"]) == 2, what="two running")
        client.call("daemon.drain", timeout=0)
        (cli.home / "go").touch()
        out, err = process.communicate(timeout=seconds(20))
        assert sorted(out.split()) == [b"1", b"2"] and process.returncode == 75
        assert b"items from 3 on have not run" in err
