"""stint run: descriptors, input, codes, signals, surroundings."""

import hashlib
import os
import signal
import subprocess
import time

import pytest
from harness import seconds, until
from program import read_until


@pytest.mark.parametrize("code", [0, 1, 3, 123, 255])
def test_code_is_the_jobs_own(cli, code):
    assert cli("run", "--", "sh", "-c", f"exit {code}").returncode == code


def test_both_outputs_to_their_descriptors(cli):
    done = cli("run", "--shell", "printf out; printf err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out", b"err")


def test_words_of_the_command_are_untouched(cli):
    words = ["[a,b]", "{}", "", "--help", "-q", "--", "a b", "ü"]
    assert cli.out("run", "printf", "%s\\n", *words).splitlines() == words


def test_signal_program_not_found_not_executable(cli, tmp_path):
    assert cli("run", "--shell", "kill -9 $$").returncode == 137
    done = cli("run", "no-such-program")
    assert done.returncode == 127
    assert b"could not be started: 'no-such-program' was not found" in done.stderr and b"(spawn)" not in done.stderr
    (tmp_path / "text").write_text("x")
    assert cli("run", tmp_path / "text").returncode == 126


def test_timeout_is_124(cli):
    begin = time.monotonic()
    done = cli("run", "--timeout", "100ms", "sleep", "60")
    assert done.returncode == 124
    assert b"timed out" in done.stderr
    assert time.monotonic() - begin < seconds(10)


def test_input_is_forwarded(cli):
    assert cli("run", "cat", input=b"one\ntwo").stdout == b"one\ntwo"
    assert cli("run", "cat", input=b"").stdout == b""
    assert cli("run", "cat", input=None).stdout == b""
    assert cli("run", "-n", "cat", input=b"not this").stdout == b""


def test_binary_through_and_through(cli):
    data = os.urandom(3_000_000)
    assert cli("run", "cat", input=data).stdout == data


def test_input_that_nobody_reads(cli):
    assert cli("run", "true", input=b"x" * 10_000_000).returncode == 0
    assert cli("run", "head", "-c", "3", input=b"abc" * 3_000_000).stdout == b"abc"


def test_input_that_comes_in_pieces(cli):
    process = cli.begin("run", "--shell", "while read x; do echo got $x; done", stdin=subprocess.PIPE)
    for word in (b"a", b"b"):
        process.stdin.write(word + b"\n")
        read_until(process, b"got " + word)
    process.stdin.close()
    assert process.wait(seconds(20)) == 0


def test_large_output(cli):
    done = cli("run", "--output-limit", "64M", "--shell", "head -c 40000000 /dev/zero | tr '\\0' x; echo end")
    assert len(done.stdout) == 40_000_004
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(b"x" * 40_000_000 + b"end\n").hexdigest()


def test_output_is_live(cli):
    process = cli.begin("run", "--shell", "echo now; cat; echo late", stdin=subprocess.PIPE)
    assert read_until(process, b"now\n") == b"now\n"
    process.stdin.close()
    assert process.stdout.read() == b"late\n"
    assert process.wait(seconds(20)) == 0


def test_surroundings(cli, tmp_path):
    (tmp_path / "here").mkdir()
    text = cli.out("run", "--shell", "pwd; umask; echo $MINE $STINT_SOCKET_WAS", cwd=tmp_path / "here",
                   env={"MINE": "ü", "STINT_SOCKET_WAS": "hidden"}, preexec_fn=lambda: os.umask(0o027))
    assert text == f"{tmp_path}/here\n0027\nü\n"
    assert cli.out("run", "--cwd", "here", "pwd") == f"{tmp_path}/here\n"


def test_environment(cli):
    lines = cli.out("run", "--clean-env", "--env", "A=1", "--env", "LANG", "env").splitlines()
    assert [line for line in lines if not line.startswith("STINT_")] == ["A=1", "LANG=C.UTF-8"]
    assert "no such variable" in cli.fails(64, "run", "--env", "NOT_THERE", "true")


def test_a_variable_that_is_not_utf8_is_named(cli):
    done = cli("run", "--shell", "echo ${ODD-unset}", env={"ODD": b"\xff"})
    assert done.stdout == b"unset\n"
    assert b"ODD" in done.stderr


def test_files(cli, tmp_path):
    (tmp_path / "in").write_text("text")
    cli.out("run", "--stdin-file", "in", "--stdout-file", "out", "--stderr-file", "err", "--shell", "cat; echo e >&2")
    cli.out("run", "--stdout-file", "out", "--append", "echo", "more")
    assert (tmp_path / "out").read_text() == "textmore\n"
    assert (tmp_path / "err").read_text() == "e\n"
    assert cli.out("run", "--merge", "--shell", "echo a; echo b >&2") == "a\nb\n"


def test_task_prints_its_result(cli, tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    text = cli.out("run", "--task", "digest", "--args", f'{{"file": "{tmp_path}/f"}}')
    assert hashlib.sha256(b"abc").hexdigest() in text
    assert cli.out("run", "--task", "echo", "--args", '[1, "x"]') == '[1,"x"]\n'
    large = '"' + "x" * 100_000 + '"'
    assert cli.out("run", "--task", "echo", "--args", large) == large + "\n"


def test_task_that_fails_is_1_and_says_why(cli):
    done = cli("run", "--task", "fail", "--args", '{"message": "on purpose"}')
    assert done.returncode == 1
    assert b"on purpose" in done.stderr


def test_bad_jobs(cli):
    assert "nosuch" in cli.fails(65, "run", "--task", "nosuch")
    assert "digest" in cli.fails(65, "run", "--task", "digset")
    assert "nothing to run" in cli.fails(64, "run")
    assert "not JSON" in cli.fails(64, "run", "--task", "echo", "--args", "{")
    assert "--args stands only" in cli.fails(64, "run", "--args", "1", "true")


def wait_for_one(client, name):
    return until(lambda: next((job["id"] for job in client.call("job.list", name=name, state="running")["jobs"]
                               if job.get("phase") == "running"), None), what=f"{name} running")


def test_interrupt_goes_to_the_job(cli):
    process = cli.begin("run", "--shell", "trap 'echo stopped; exit 7' INT; echo ready; while :; do sleep 0.05; done")
    read_until(process, b"ready")
    process.send_signal(signal.SIGINT)
    assert process.wait(seconds(20)) == 7
    assert process.stdout.read() == b"stopped\n"


def test_job_that_dies_of_the_interrupt_is_130(cli):
    process = cli.begin("run", "--shell", "echo ready; exec sleep 60")
    read_until(process, b"ready")
    process.send_signal(signal.SIGINT)
    assert process.wait(seconds(20)) == 130


def test_second_interrupt_leaves_the_job(cli, client):
    process = cli.begin("run", "--name", "stubborn", "--shell", "trap 'echo no' INT; echo ready; cat; while :; do sleep 0.05; done")
    read_until(process, b"ready")
    process.send_signal(signal.SIGINT)
    read_until(process, b"no")
    process.send_signal(signal.SIGINT)
    assert process.wait(seconds(20)) == 125
    message = process.stderr.read().decode()
    number = wait_for_one(client, "stubborn")
    assert f"stint output -f {number}" in message
    assert client.call("job.get", id=number)["state"] == "running"
    cli.out("cancel", "--force", number)
    assert cli("wait", number).returncode == 125


def test_terminate_cancels(cli, client):
    process = cli.begin("run", "--name", "victim", "sleep", "60")
    number = wait_for_one(client, "victim")
    process.send_signal(signal.SIGTERM)
    assert process.wait(seconds(20)) == 125
    assert client.call("job.get", id=number)["outcome"] == "cancelled"


def test_interrupt_of_a_queued_job_cancels_it(cli, start):
    from program import Cli

    own = start(process__slots=1)
    with own.connect() as other:
        blocker = other.submit(command=["sleep", "60"])
        alone = Cli(cli.home, STINT_SOCKET=str(own.socket))
        process = alone.begin("run", "--name", "queued", "true")
        until(lambda: other.call("job.list", name="queued")["jobs"], what="the job")
        process.send_signal(signal.SIGINT)
        assert process.wait(seconds(20)) == 125
        other.call("job.cancel", ids=[blocker], force=True)
        alone.end()


def test_reader_that_goes_away(cli):
    process = cli.begin("run", "yes")
    read_until(process, b"y\n")
    process.stdout.close()
    assert process.wait(seconds(20)) == 128 + signal.SIGPIPE


def test_exit_code_in_a_pipeline_of_the_shell(cli):
    text = cli("run", "--shell", "exit 4")
    assert text.stderr == b""
    done = subprocess.run(["bash", "-c", "set -o pipefail; echo a | stint run -- cat | stint run -- tr a b; echo $?"],
                          env=cli.environment, cwd=cli.home, stdout=subprocess.PIPE, timeout=seconds(30))
    assert done.stdout == b"b\n0\n"


def test_on_a_terminal(cli):
    screen = cli.terminal("run", "--shell", "echo here; test -t 0 || echo no terminal")
    text, code = screen.finish()
    assert code == 0
    assert "here\r\nno terminal" in text


def test_control_c_on_a_terminal(cli):
    screen = cli.terminal("run", "--shell", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done")
    screen.read_until("ready")
    screen.type("\x03")
    text, code = screen.finish()
    assert code == 9
    assert "caught" in text
