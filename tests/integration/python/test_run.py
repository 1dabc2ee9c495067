"""stint.run, held against what subprocess.run does with the same arguments."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import stint
from harness import seconds

CASES = [
    (["echo", "hello"], {"capture_output": True}),
    (["echo", "hello"], {"capture_output": True, "text": True}),
    (["sh", "-c", "echo out; echo err >&2; exit 3"], {"capture_output": True, "text": True}),
    (["sh", "-c", "echo out; echo err >&2"], {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}),
    (["sh", "-c", "echo out; echo err >&2"], {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}),
    ("echo $((1 + 2)); printf 'a\\r\\nb'", {"shell": True, "capture_output": True, "text": True}),
    (["cat"], {"input": b"\x00\xff bytes", "capture_output": True}),
    (["cat"], {"input": "text\n", "capture_output": True, "text": True}),
    (["cat"], {"input": "gr\u00fc\u00df", "capture_output": True, "encoding": "latin-1"}),
    (["sh", "-c", "pwd; umask"], {"cwd": "/usr", "capture_output": True}),
    (["sh", "-c", "echo $ONE$HOME"], {"env": {"ONE": "1"}, "capture_output": True}),
    (["sh", "-c", "kill -15 $$"], {"capture_output": True}),
    (["head", "-c", "300000", "/dev/zero"], {"capture_output": True}),
    ([Path("/bin/echo"), b"b"], {"capture_output": True}),
]


@pytest.mark.parametrize("args, options", CASES)
def test_the_same_as_subprocess(place, args, options):
    ours, theirs = stint.run(args, **options), subprocess.run(args, **options)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert isinstance(ours, subprocess.CompletedProcess) and ours.record["state"] == "finished"


@pytest.fixture
def unstartable(tmp_path):
    """A directory of what cannot be started, each for another reason."""
    for name, text, mode in (("forbidden", "#!/bin/sh\n", 0o644), ("no-program", "no program\n", 0o755), ("closed", "", 0o644),
                             ("orphan", "#!/nowhere/interpreter\n", 0o755)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "directory").mkdir()
    return tmp_path


UNSTARTABLE = [(["no-such-program"], {}), (["no-such-program"], {"env": {"PATH": "/usr/bin:/nowhere"}}), (["/nowhere/at/all"], {}),
               (["./no-such-program"], {"cwd": "HERE"}), (["HERE/forbidden"], {}), (["forbidden"], {"env": {"PATH": "HERE"}}),
               (["HERE/no-program"], {}), (["HERE/orphan"], {}), (["HERE/directory"], {}), (["HERE/forbidden/below"], {}),
               (["/bin/echo", "x" * 200_000], {}), (["true"], {"cwd": "/nowhere/at/all"}),
               (["true"], {"cwd": "HERE/forbidden"}), ("true", {"shell": True, "cwd": "/nowhere/at/all"})]


@pytest.mark.parametrize("args, options", UNSTARTABLE)
def test_what_cannot_be_started_fails_as_in_subprocess(place, unstartable, args, options):
    def here(value):
        if isinstance(value, dict):
            return {name: here(each) for name, each in value.items()}
        if isinstance(value, list):
            return [here(each) for each in value]
        return value.replace("HERE", str(unstartable)) if isinstance(value, str) else value

    args, options = here(args), here(options)
    with pytest.raises(OSError) as theirs:
        subprocess.run(args, **options)
    ours = [pytest.raises(OSError, stint.run, args, **options).value]
    with stint.Executor() as executor:
        ours.append(executor.submit(stint.Command(args, **options)).exception(seconds(20)))
    for error in ours:
        assert (type(error), str(error), error.filename) == (theirs.type, str(theirs.value), theirs.value.filename)
        assert isinstance(error.__cause__, stint.JobFailed), "what the daemon says is its cause"


def test_a_file_that_is_missing_is_not_taken_for_the_program(place):
    with pytest.raises(FileNotFoundError, match="/nowhere/at/all.*standard error"):
        stint.Command(["true"], stderr={"file": "/nowhere/at/all"})()


def test_errors_are_those_of_subprocess(place):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        stint.run(["sh", "-c", "echo why; exit 2"], check=True, capture_output=True, text=True)
    assert (caught.value.returncode, caught.value.stdout) == (2, "why\n")
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        stint.run(["sh", "-c", "trap '' TERM; echo begun; sleep 30 & wait"], timeout=0.2, capture_output=True)
    assert expired.value.timeout == 0.2 and expired.value.output == b"begun\n"
    for bad in ({"capture_output": True, "stdout": subprocess.PIPE}, {"input": b"", "stdin": subprocess.DEVNULL}, {"stdin": subprocess.PIPE}):
        with pytest.raises(ValueError):
            stint.run(["true"], **bad)
    with pytest.raises(stint.InvalidParams):
        stint.run(["true"], colour="blue")


def test_output_that_is_not_captured_passes_through(place, capfd, tmp_path):
    done = stint.run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.stdout, done.stderr) == (None, None)
    assert capfd.readouterr() == ("out\n", "err\n")
    with open(tmp_path / "file", "wb") as file:
        stint.run(["echo", "into the file"], stdout=file)
    assert (tmp_path / "file").read_text() == "into the file\n"
    with open(tmp_path / "file", "rb") as file:
        assert stint.run(["cat"], stdin=file, capture_output=True).stdout == b"into the file\n"


def test_it_comes_while_the_program_runs(place):
    read, write = os.pipe()
    gate = Path(f"{place}.gate")
    running = threading.Thread(target=stint.run, args=(f"echo first; while ! [ -e {gate} ]; do sleep 0.01; done",),
                               kwargs={"shell": True, "stdout": write})
    running.start()
    assert os.read(read, 100) == b"first\n"
    gate.touch()
    running.join(seconds(10))
    assert not running.is_alive()
    os.close(read)
    os.close(write)


def test_ctrl_c_ends_the_program_too(place, link):
    script = ("import sys; sys.path.insert(0, sys.argv[1]); import stint\n"
              "stint.run(['sh', '-c', 'echo begun; sleep 300'], name='interrupted')\n")
    home = str(Path(stint.__file__).parent)
    process = subprocess.Popen([sys.executable, "-B", "-c", script, home], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(2)
    _, errors = process.communicate(timeout=seconds(20))
    assert b"KeyboardInterrupt" in errors
    job = next(link.list(name="interrupted"))["id"]
    assert link.wait([job]).finished[0]["outcome"] == "cancelled"


def test_a_command_and_a_task_can_be_called(place):
    assert stint.Command(["echo", "a"], text=True)("b").stdout == "a b\n"
    assert stint.Task("echo")({"x": 1}) == {"x": 1}
    assert stint.Task("echo")("y" * 10_000) == "y" * 10_000
    with pytest.raises(stint.JobFailed):
        stint.Task("fail")()
    with pytest.raises(TypeError):
        stint.Command("echo", shell=True)("more")
    with pytest.raises(ValueError):
        stint.Command([])
    with pytest.raises(TypeError, match="env"):
        stint.Command(["true"], env={"A": 1})
