"""A personal daemon that is started for somebody who has none, and connections that are lost."""

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness import alive, children, seconds, until
from program import Cli, read_until


@pytest.fixture
def own(tmp_path_factory):
    """A user with nothing running; what was started is stopped."""
    home = tmp_path_factory.mktemp("u")
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    cli = Cli(home, XDG_RUNTIME_DIR=str(runtime), XDG_STATE_HOME=str(home / "state"), SECRET="do not hand on")
    yield cli
    cli.end()
    cli("shutdown", "--jobs", "cancel")
    cli("shutdown", "--jobs", "cancel", env={"XDG_RUNTIME_DIR": str(home / "other")})


def pid_of(cli):
    return int(cli.out("status", "--format", "{info.pid}"))


def test_started_once_and_said_once(own):
    done = own("run", "echo", "hello")
    assert done.stdout == b"hello\n" and done.returncode == 0
    assert b"started a personal daemon" in done.stderr
    done = own("run", "echo", "again")
    assert (done.stdout, done.stderr) == (b"again\n", b"")


def test_nothing_of_the_starter_stays_with_it(own):
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    with open(own.home / "open", "w") as held:
        own("submit", "true", pass_fds=[write_end, held.fileno()])
    os.close(write_end)
    assert os.read(read_end, 1) == b"", "the daemon holds a descriptor of its starter"
    os.close(read_end)
    pid = pid_of(own)
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]
    assert links == ["/dev/null"] * 3
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert fields[4] == "0", "it has a controlling terminal"
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"SECRET" not in environment and b"XDG_STATE_HOME" in environment
    assert (own.home / "state/stint/stintd.log").stat().st_size > 0


def test_two_at_once_start_one(own):
    started = [own.begin("run", "sh", "-c", "echo $PPID") for _ in range(6)]
    notes = []
    for process in started:
        out, err = process.communicate(timeout=seconds(60))
        assert process.returncode == 0, err
        notes.append(err)
    assert sum(b"started a personal daemon" in note for note in notes) == 1
    pid_of(own)


def test_no_start(own):
    assert "cannot connect" in own.fails(69, "run", "--no-start", "true")
    (own.home / "config/stint").mkdir(parents=True)
    (own.home / "config/stint/client.toml").write_text("autostart = false\n")
    assert "cannot connect" in own.fails(69, "submit", "true")
    (own.home / "config/stint/client.toml").write_text("autostrat = false\n")
    assert "client.toml:1: unknown key 'autostrat'; did you mean 'autostart'?" in own.fails(78, "run", "true")
    for verb in ("list", "status", "tasks"):
        assert own(verb).returncode == 69
    assert not (own.home / "state").exists()


def test_a_named_socket_is_not_made_up(own):
    assert own("run", "--socket", own.home / "s", "true").returncode == 69
    assert own("run", "true", env={"STINT_SOCKET": str(own.home / "s")}).returncode == 69
    assert not (own.home / "state").exists()


def test_wrong_configuration_of_the_daemon_is_told(own):
    (own.home / "config/stint").mkdir(parents=True)
    (own.home / "config/stint/stint.toml").write_text("[process]\nslotz = 3\n")
    message = own.fails(78, "run", "true")
    assert "stint.toml" in message and "slotz" in message


def test_state_that_cannot_be_made_is_told(own):
    (own.home / "state").mkdir()
    (own.home / "state/stint").write_text("in the way")
    message = own.fails(69, "run", "true")
    assert "exited with code" in message and "is not a directory" in message


def test_state_taken_by_a_daemon_elsewhere(own):
    own("submit", "true")
    pid = pid_of(own)
    (own.home / "other").mkdir(mode=0o700)
    done = own("run", "--shell", "echo $STINT_SOCKET", env={"XDG_RUNTIME_DIR": str(own.home / "other")})
    assert done.returncode == 0, done
    assert done.stdout.decode().strip() == f"{own.home}/run/stint/stint.sock"
    assert pid_of(own) == pid


def test_directory_of_others_is_not_trusted(own):
    own("submit", "true")
    os.chmod(own.home / "run/stint", 0o777)
    message = own.fails(69, "list")
    assert "may be written to by others" in message
    os.chmod(own.home / "run/stint", 0o700)


def test_daemon_that_dies_is_replaced_and_its_jobs_go_on(own):
    own("submit", "true")
    pid = pid_of(own)
    waiting = own.begin("run", "--shell", "echo ready; until [ -e go ]; do sleep 0.01; done; exit 9")
    read_until(waiting, b"ready")
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), what="the daemon's end")
    own("submit", "true")
    assert pid_of(own) != pid
    (own.home / "go").touch()
    assert waiting.wait(seconds(40)) == 9
    assert b"was restarted" in waiting.stderr.read()


@pytest.mark.parametrize("verb", ["submit", "run", "map"])
def test_daemon_that_is_just_dying_is_replaced_too(own, verb):
    """Its socket takes a connection still, or its state directory is held still: neither is a reason to fail."""
    for _ in range(5):
        own("submit", "true")
        os.kill(pid_of(own), signal.SIGKILL)
        done = own(verb, "echo", *([":::", "hello"] if verb == "map" else ["hello"]))
        assert done.returncode == 0, done
        assert verb == "submit" or done.stdout == b"hello\n"


def test_state_held_by_one_that_answers_nobody(own):
    """Somebody holds the state directory and does not listen: it is waited for, and replaced when it lets go."""
    own("submit", "true")
    own("shutdown")
    with open(own.home / "state/stint/lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = own.begin("run", "echo", "hello")
        tried = set()
        until(lambda: tried.update(children(process.pid)) or len(tried) > 1, what="a second daemon")
        assert process.poll() is None
    out, err = process.communicate(timeout=seconds(60))
    assert (process.returncode, out) == (0, b"hello\n"), err


def test_suspended_client_resumes(own):
    """A client that stands still for a while has lost nothing."""
    process = own.begin("run", "--shell", "for i in $(seq 2000); do echo $i; done; sleep 0.2; echo end")
    seen = read_until(process, b"1\n")
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: own("list", "--state", "finished", "-q").stdout, what="the job's end")
    os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=seconds(60))
    assert (seen + out).decode().split() == [str(i) for i in range(1, 2001)] + ["end"]


def test_no_terminal_left_behind(own):
    """On a terminal that is closed afterwards the daemon lives on."""
    screen = own.terminal("run", "echo", "hi")
    text, code = screen.finish()
    assert code == 0 and "hi" in text
    assert alive(pid_of(own))
    assert subprocess.run(own.command(["list", "-q"]), env=own.environment, stdout=subprocess.PIPE).stdout
