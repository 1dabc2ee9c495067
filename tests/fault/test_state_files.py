"""Torn, foreign and newer state files: the store is refused with a sentence and not touched; junk among the workers is not.

The store's log is the exception: a torn end of it is what every power cut leaves, and costs nothing that was acknowledged.
"""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import BIN, Daemon, seconds, until


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A state directory with some finished jobs in it, left behind by a good end."""
    daemon = Daemon(process__slots=2)
    try:
        client = daemon.connect()
        client.wait(*(client.submit(command=["echo", str(number)]) for number in range(20)))
        many = client.call("job.submit_many", template={"task": "echo"}, items=list(range(5_000)))
        client.call("job.wait", group=many["group"])
        kept = tmp_path_factory.mktemp("good") / "state"
        client.call("daemon.shutdown", jobs="cancel")
        assert daemon.exit_code() == 0
        shutil.copytree(daemon.state, kept)
        yield kept
        shutil.rmtree(kept)
    finally:
        daemon.destroy()


def digests(state):
    """Of all that holds something; SQLite makes an empty log when it opens a file to read it."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in state.glob("stint.db*") if path.stat().st_size}


def refused(daemon, home):
    """What a daemon that must not start says; the files must be as they were."""
    before = digests(home / "state")
    command = [str(daemon), "--state-dir", str(home / "state"), "--socket", str(home / "s")]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds(20), text=True)
    assert run.returncode == 1, run
    assert digests(home / "state") == before, "the files were changed"
    assert not (home / "s").exists()
    said = [line for line in run.stderr.splitlines() if line.startswith("stintd: ")]
    assert len(said) == 1 and str(home / "state" / "stint.db") in said[0], run.stderr
    assert "Move" in said[0], f"does not say what to do: {said[0]}"
    return said[0]


@pytest.fixture
def home(good, tmp_path):
    shutil.copytree(good, tmp_path / "state")
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture
def stintd():
    return BIN / "stintd"


def database(home):
    path = home / "state" / "stint.db"
    assert path.stat().st_size > 100_000
    return path


@pytest.mark.parametrize("keep", [1, 100, 4096, 0.5, 0.9])
def test_truncated(home, stintd, keep):
    path = database(home)
    os.truncate(path, keep if keep >= 1 else int(path.stat().st_size * keep))
    refused(stintd, home)


@pytest.mark.parametrize("where", ["whole", "head", "pages"])
def test_garbage(home, stintd, chance, where):
    path = database(home)
    data = bytearray(path.read_bytes())
    if where == "whole":
        data[:] = chance.randbytes(len(data))
    elif where == "head":
        data[:100] = chance.randbytes(100)
    else:
        # Every page but the first, as a disk that lost its mind would leave it.
        data[4096:] = chance.randbytes(len(data) - 4096)
    path.write_bytes(data)
    refused(stintd, home)


def test_another_program_s_file(home, stintd):
    path = database(home)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs(name TEXT)")
    other.close()
    refused(stintd, home)


def test_newer_version(home, stintd):
    path = database(home)
    with sqlite3.connect(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    assert "newer" in refused(stintd, home)


def test_a_directory_in_its_place(home, stintd):
    path = database(home)
    path.unlink()
    path.mkdir()
    command = [str(stintd), "--state-dir", str(home / "state"), "--socket", str(home / "s")]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds(20), text=True)
    assert run.returncode == 1 and str(path) in run.stderr, run
    assert path.is_dir()


@pytest.mark.parametrize("junk", ["tail", "cut"])
def test_torn_log(start, chance, junk):
    """The end of a log that was being written when the power went; all that was acknowledged lies before it."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    jobs = [client.submit(command=["echo", str(number)]) for number in range(10)]
    records = {record["id"]: record for record in client.wait(*jobs)}
    daemon.kill()
    log = daemon.state / "stint.db-wal"
    end = written_end(log)
    with open(log, "r+b") as file:
        if junk == "tail":
            file.seek(end)
            file.write(chance.randbytes(20_000))
        else:
            file.truncate(end + 100)
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    for job in jobs:
        assert client.call("job.get", id=job) == records[job]
    assert client.submit(command=["true"]) > max(jobs)


def test_a_log_that_is_none(start, chance):
    """SQLite takes it for an empty one; then what was acknowledged since the last checkpoint would be gone."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    records = client.wait(*(client.submit(command=["echo", str(number)]) for number in range(10)))
    daemon.kill_everything()
    log = daemon.state / "stint.db-wal"
    good = log.read_bytes()
    log.write_bytes(chance.randbytes(32) + good[32:])
    daemon.socket.unlink(missing_ok=True)
    assert f"its log {log} is not one" in refused(daemon.binaries / "stintd", daemon.home)
    log.write_bytes(good)
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    assert [client.call("job.get", id=record["id"]) for record in records] == records


@pytest.fixture
def nobody_s(good):
    """A directory in which everything, the programs too, is of a user whom modes stop."""
    if os.geteuid() != 0:
        pytest.skip("needs root to be another user")
    home = Path(tempfile.mkdtemp(prefix="stint-test-"))
    try:
        shutil.copytree(good, home / "state")
        (home / "state" / "stint.db-wal").touch()
        for name in ("stintd", "stint-worker"):
            shutil.copy(BIN / name, home)
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        yield home
    finally:
        shutil.rmtree(home)


NOBODY = 65534


@pytest.mark.parametrize("name", ["stint.db", "stint.db-wal", "workers", "out"])
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o300])
def test_no_access(nobody_s, name, mode):
    path = nobody_s / "state" / name
    path.chmod(mode)
    command = [str(nobody_s / "stintd"), "--state-dir", str(nobody_s / "state"), "--socket", str(nobody_s / "s")]
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds(20), text=True, cwd=nobody_s,
        env={}, user=NOBODY, group=NOBODY, extra_groups=[])
    assert run.returncode == 1, run
    said = run.stderr.splitlines()[-1]
    assert f"{path} cannot be read and written: Permission denied" in said and f"Give uid {NOBODY} access to it" in said, said


def written_end(log):
    """Where the frames that count end: those whose salts are the header's."""
    data = log.read_bytes()
    salts, page = data[16:24], int.from_bytes(data[8:12], "big")
    end = 32
    while data[end + 8 : end + 16] == salts:
        end += 24 + page
    assert end > 32
    return end


def test_junk_among_the_workers(start, chance):
    daemon = start(process__slots=2)
    client = daemon.connect()
    pid = client.until_state(job := client.submit(shell="sleep 1; exit 4"), "running", "running")["pid"]
    daemon.kill()
    workers = daemon.state / "workers"
    kept = daemon.home / "kept"
    kept.mkdir()
    (kept / "lock").write_text("1\n")
    (kept / "mine").write_text("mine")
    (workers / "a-file").write_bytes(chance.randbytes(1000))
    (workers / "empty").mkdir()
    (workers / "link").symlink_to(kept)
    (workers / "lock-is-a-folder" / "lock").mkdir(parents=True)
    for name, slots in {
        "garbage": chance.randbytes(5_000),
        "torn": chance.randbytes(1),
        "nothing": b"",
        "right-head": (b"STSL" + b"\x01\x00" + b"\x01\x00" + chance.randbytes(120)) * 3 + b"STSL",
        "newer": (b"STSL" + b"\x63\x00" + b"\x01\x00" + chance.randbytes(120)) * 3,
    }.items():
        folder = workers / f"junk-{name}"
        folder.mkdir()
        (folder / "lock").write_text(chance.choice(["", "garbage", "1\n", "-1\n", "999999999\n", "0\n"]))
        (folder / "slots").write_bytes(slots)
        (folder / "instance").write_bytes(chance.randbytes(50))
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    assert client.run(command=["echo", "on"])["stdout"]["data"] == "on\n"
    assert client.wait(job)[0]["exit_code"] == 4
    assert os.path.exists("/proc/1") and (kept / "mine").read_text() == "mine"
    until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "the program's end")


@pytest.mark.parametrize("killed", [False, True])
def test_a_copy_harms_nothing_of_the_original(start, killed):
    """What runs is the original's: in the copy it is lost."""
    original = start(process__slots=2)
    client = original.connect()
    job = client.submit(shell=f"until [ -e {original.home}/go ]; do sleep 0.01; done; exit 3")
    pid = client.until_state(job, "running", "running")["pid"]
    if killed:
        original.kill()
    copy = start(process__slots=2)
    copy.kill()
    shutil.rmtree(copy.state)
    shutil.copytree(original.state, copy.state, ignore=lambda folder, names: [name for name in names if name == "sock"])
    copy.launch()
    copy.until_serving()
    assert copy.connect().wait(job)[0]["outcome"] == "lost"
    assert os.path.exists(f"/proc/{pid}")
    if killed:
        original.launch()
        original.until_serving()
    (original.home / "go").touch()
    assert original.connect().wait(job)[0]["exit_code"] == 3


def test_missing_folders(start):
    """What can be made anew is made anew; an end told by a lost folder is lost, and nothing else is."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    done = client.run(command=["true"])
    client.call("daemon.shutdown", jobs="cancel")
    assert daemon.exit_code() == 0
    shutil.rmtree(daemon.state / "workers")
    shutil.rmtree(daemon.state / "out")
    (daemon.state / "boot").unlink(missing_ok=True)
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    assert client.call("job.get", id=done["id"])["outcome"] == "succeeded"
    assert client.run(command=["echo", "on"])["stdout"]["data"] == "on\n"


def test_a_runner_whose_lock_was_removed(start):
    """It cannot be reached and not be proved dead: its programs are ended, and run no second time."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    job = client.submit(shell=f"echo >>{daemon.home}/ran; sleep 300")
    pid = client.until_state(job, "running", "running")["pid"]
    daemon.kill()
    for lock in (daemon.state / "workers").glob("*/lock"):
        lock.unlink()
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    assert client.wait(job)[0]["outcome"] in ("lost", "failed")  # as its runner has seen its end or not
    assert not os.path.exists(f"/proc/{pid}")
    assert (daemon.home / "ran").read_text() == "\n"
    assert client.run(command=["true"])["outcome"] == "succeeded"
    daemon.restart()
    until(lambda: len(list((daemon.state / "workers").iterdir())) <= 4, 10, "the folders of the dead to go")


def test_two_daemons(start, stintd):
    """The directory is taken, which the second one says, naming the socket of the first."""
    daemon = start(process__slots=2)
    command = [str(stintd), "--state-dir", str(daemon.state), "--socket", str(daemon.home / "other")]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds(20), text=True)
    assert run.returncode == 75 and str(daemon.socket) in run.stderr, run
    assert daemon.connect().run(command=["echo", "on"])["stdout"]["data"] == "on\n"
