"""Plug-ins: which are loaded and which refused, where their tasks run, what a crash costs, and one built outside the tree.

The plug-ins are copies of one that the build has made, with another word for how it behaves written into it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from harness import BIN, SANITIZED, process_name, seconds, until

BUILT = BIN.parent / "plugins"
ROOT = Path(__file__).resolve().parents[2]


def put(directory, name, behaviour="plain", plugin="test_plugin", **replaced):
    """A plug-in of this behaviour, put into its place in one step; more `replaced` bytes, of the same length."""
    content = (BUILT / f"{plugin}.so").read_bytes()
    marks = {b"behaviour=plain...........": f"behaviour={behaviour}".encode().ljust(26, b".")}
    marks |= {old.encode(): new.encode() for old, new in replaced.items()}
    for old, new in marks.items():
        assert old in content and len(old) == len(new)
        content = content.replace(old, new)
    fresh = directory / f".{name}.new"
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.rename(directory / name)
    return directory / name


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "plugins"
    path.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    return path


@pytest.fixture
def begin(start, directory):
    """A daemon with the plug-ins of `directory`."""
    return lambda **settings: start(plugins__directory=directory, **{"process__hosts": 2} | settings)


def states(client):
    return {Path(plugin["file"]).name: plugin for plugin in client.call("daemon.info")["plugins"]}


def run(client, task, args=None, **more):
    job = {"task": task, **more} | ({} if args is None else {"args": args})
    return client.call("job.run", job=job, timeout=60)


def maps(daemon, name):
    return name in Path(f"/proc/{daemon.pid}/maps").read_text()


def threads(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/task"))


# ---- what is loaded

def test_without_a_directory_there_is_nothing(start):
    daemon = start()
    with daemon.connect() as client:
        assert client.call("daemon.info")["plugins"] == []
        assert all("plugin" not in task for task in client.call("task.list")["tasks"])


def test_its_tasks_are_listed_with_where_they_run(begin, directory):
    put(directory, "words.so")
    (directory / "README").write_text("not one of them")
    daemon = begin()
    with daemon.connect() as client:
        assert states(client) == {"words.so": {"file": str(directory / "words.so"), "tasks": [
            "plug_block", "plug_both", "plug_crash", "plug_fail", "plug_place", "plug_read", "plug_wait"]}}
        tasks = {task["name"]: task for task in client.call("task.list")["tasks"]}
        assert tasks["plug_place"] == {
            "name": "plug_place", "description": "a task of the tests", "executors": ["process"], "plugin": "words.so",
            "parameters": [{"name": "any", "type": "any", "description": "is not looked at", "required": False}]}
        assert tasks["plug_both"]["executors"] == ["process", "thread", "coroutine"]
        assert tasks["plug_wait"]["executors"] == ["coroutine"]
        assert "plugin" not in tasks["sleep"]
        error = client.error("job.submit", job={"task": "plug_place", "executor": "thread"})
        assert error.kind == "invalid_params" and '"process"' in error.data["expected"]
    listed = subprocess.run([BIN / "stint", "tasks"], env={**os.environ, "STINT_SOCKET": str(daemon.socket)},
                            capture_output=True, text=True, check=True).stdout
    rows = {line.split("\t")[0]: line.split("\t") for line in listed.splitlines()}
    assert rows["plug_place"][1:3] == ["process", "words.so"]
    assert rows["echo"][2] == ""
    log = daemon.log.read_text()
    assert "words.so has 7 tasks" in log


def test_tasks_that_run_in_hosts_alone_are_never_loaded_into_the_daemon(begin, directory):
    put(directory, "hosts.so", "hosts")
    daemon = begin()
    before = threads(daemon)
    with daemon.connect() as client:
        record = run(client, "plug_place")
        assert record["outcome"] == "succeeded" and record["executor"] == "process"
        assert record["result"]["isolated"] and record["result"]["pid"] in daemon.workers("host")
    assert not maps(daemon, "hosts.so")
    assert threads(daemon) == before
    zygote, = daemon.workers("zygote")
    assert "hosts.so" not in Path(f"/proc/{zygote}/maps").read_text()


REFUSED = {
    "crash": "while it was loaded it crashed: it was killed by SIGSEGV",
    "leave": "while it was loaded it ended the process, with exit status 3",
    "nothing": "it registers no task",
    "throws": "the registration of its tasks failed: no licence",
    "throws-a-number": "the registration of its tasks threw something that is no std::exception",
    "empty": "task 'plug_place' has neither a blocking form nor a coroutine",
    "nameless": "it has a task without a name",
    "long-name": "the name of a task has more than 256 bytes",
    "not-utf8": "the name of a task is not UTF-8",
    "inline": "task 'plug_place' wants to run on the daemon's I/O thread, which is for built-in tasks only",
    "builtin-name": "its task 'sleep' has the name of a built-in one",
    "twice": "the registration of its tasks failed: task 'plug_place' is registered twice",
    "long-description": "the description of task 'plug_place' has more than 1024 bytes",
    "many-parameters": "task 'plug_place' describes more than 64 parameters",
    "many-tasks": "it registers more than 256 tasks",
}


def test_a_bad_plugin_is_refused_with_its_reason_and_the_others_serve(begin, directory):
    for behaviour in REFUSED:
        put(directory, f"{behaviour}.so", behaviour)
    put(directory, "version.so", **{"task API 1, ": "task API 0, "})
    put(directory, "entry.so", **{"stint_plugin\0": "stint_plague\0"})
    put(directory, "hidden.so", plugin="hidden_plugin")
    (directory / "text.so").write_text("no shared object")
    (directory / "folder.so").mkdir()
    (directory / "nowhere.so").symlink_to("nothing")
    os.mkfifo(directory / "pipe.so")
    put(directory, "writable.so").chmod(0o666)
    put(directory, "zz-good.so")
    daemon = begin()
    with daemon.connect() as client:
        found = states(client)
        for behaviour, reason in REFUSED.items():
            assert found[f"{behaviour}.so"]["refused"] == reason
            assert found[f"{behaviour}.so"]["tasks"] == []
            assert f"{behaviour}.so is refused: {reason}" in daemon.log.read_text()
        version = found["version.so"]["refused"]
        assert re.search(r"was built for another stintd: for task API 0, (.+); this one has task API 1, \1$", version)
        # The address sanitizer has a symbol of its own for the entry, whose name lost its end, too.
        assert "it has no 'stint_plugin'" in found["entry.so"]["refused"] or SANITIZED and "undefined symbol" in found["entry.so"]["refused"]
        assert "linked with its Asio hidden" in found["hidden.so"]["refused"]
        assert "it cannot be loaded: " in found["text.so"]["refused"] and "invalid ELF header" in found["text.so"]["refused"] \
            or "file too short" in found["text.so"]["refused"]
        assert found["folder.so"]["refused"] == found["pipe.so"]["refused"] == "it is not a regular file"
        assert "No such file" in found["nowhere.so"]["refused"]
        assert "can be written by others than its owner" in found["writable.so"]["refused"]
        assert "refused" not in found["zz-good.so"]
        assert run(client, "plug_place")["outcome"] == "succeeded"
        assert client.error("job.submit", job={"task": "more_1"}).kind == "unavailable"


def test_what_is_at_its_bound_is_right_and_a_name_is_given_once(begin, directory):
    put(directory, "a.so", "most-tasks")
    put(directory, "b.so", "bound-name")
    put(directory, "c.so", "hosts")
    daemon = begin()
    with daemon.connect() as client:
        found = states(client)
        assert len(found["a.so"]["tasks"]) == 256
        assert len(found["b.so"]["tasks"][0]) == 256
        assert found["c.so"]["refused"] == "its task 'plug_place' has the name of one of a.so"
    put(directory, "a.so", "descriptions")
    (directory / "b.so").unlink()
    put(directory, "c.so", "parameters")
    daemon.restart()
    with daemon.connect() as client:
        tasks = {task["name"]: task for task in client.call("task.list")["tasks"]}
        assert len(tasks["plug_place"]["description"]) == 1024
        assert len(tasks["plug_parameters"]["parameters"]) == 64


# ---- the directory

def start_fails(tmp_path, *arguments):
    done = subprocess.run([BIN / "stintd", "--state-dir", tmp_path / "state", "--socket", tmp_path / "s", *arguments],
                          capture_output=True, text=True, timeout=seconds(20))
    assert done.returncode == 78
    return done.stderr


def test_a_bad_directory_ends_the_start_and_the_check(tmp_path, directory):
    config = tmp_path / "stint.toml"
    config.write_text(f'[plugins]\ndirectory = "{directory}"\n')
    check = [BIN / "stintd", "--config", config, "--check-config"]
    assert subprocess.run(check, capture_output=True, timeout=seconds(20)).returncode == 0

    for mode in (0o775, 0o757, 0o1777):
        directory.chmod(mode)
        for more in ((), ("--check-config",)):
            error = start_fails(tmp_path, "--config", config, *more)
            assert error.startswith(f"stintd: {config}:2: 'plugins.directory': {directory} can be written by others"), error
    directory.chmod(0o755)
    tmp_path.chmod(0o775)
    assert f"{tmp_path} can be written by others" in start_fails(tmp_path, "--config", config)
    tmp_path.chmod(0o755)
    gone = tmp_path / "gone"
    assert "--set: 'plugins.directory'" in start_fails(tmp_path, "--set", f"plugins.directory={gone}")
    gone.write_text("")
    assert "is not a directory" in start_fails(tmp_path, "--set", f"plugins.directory={gone}")


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others can be made by root only")
def test_files_of_others_are_not_trusted(begin, directory, tmp_path):
    others = put(directory, "others.so")
    os.chown(others, 12345, -1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, 12345, -1)
    (directory / "linked.so").symlink_to(put(elsewhere, "behind.so"))
    daemon = begin()
    with daemon.connect() as client:
        found = states(client)
        assert found["others.so"]["refused"].startswith(f"{others} belongs to user 12345; only root and user 0, who runs the daemon")
        assert found["linked.so"]["refused"].startswith(f"{elsewhere} belongs to user 12345")
    os.chown(directory, 12345, -1)
    assert "belongs to user 12345" in start_fails(tmp_path, "--set", f"plugins.directory={directory}")
    os.chown(directory, 0, -1)


# ---- where they run

def test_each_place_and_what_a_failure_looks_like(begin, directory):
    put(directory, "words.so")
    daemon = begin()
    with daemon.connect() as client:
        for executor in ("process", "thread", "coroutine"):
            record = run(client, "plug_both", executor=executor)
            assert record["outcome"] == "succeeded" and record["executor"] == executor
            assert (record["result"]["pid"] == daemon.pid) == (executor != "process")
            assert record["result"]["thread"] != daemon.pid  # its I/O thread
        assert run(client, "plug_both")["executor"] == "process"
        failed = run(client, "plug_fail", {"kind": "busy"})
        assert failed["outcome"] == "failed" and failed["error"] == {"kind": "busy", "message": "as it was asked to"}
        assert run(client, "plug_fail", {})["error"] == {"kind": "exception", "message": "a plain exception"}
        assert run(client, "plug_fail", {"number": 1})["error"]["message"] == "the task threw something that is no std::exception"


def test_a_crash_fails_its_job_and_nothing_else(begin, directory):
    put(directory, "words.so")
    daemon = begin()
    with daemon.connect() as client:
        first = run(client, "plug_place")["result"]["pid"]
        long = client.call("job.submit", job={"task": "sleep", "args": {"seconds": 600}, "executor": "process"})["id"]
        client.until_state(long, "running")
        for _ in range(3):
            record = run(client, "plug_crash")
            assert record["outcome"] == "failed" and record["error"]["kind"] == "crashed", record
            assert "SIGSEGV" in record["error"]["message"]
        again = run(client, "plug_place")
        assert again["outcome"] == "succeeded" and again["result"]["pid"] != first
        assert client.call("job.get", id=long)["state"] == "running"
        client.call("job.cancel", ids=[long])


def test_a_coroutine_waits_reads_and_is_cancelled(begin, directory, tmp_path):
    put(directory, "words.so")
    daemon = begin()
    with daemon.connect() as client:
        waiting = client.call("job.submit_many", template={"task": "plug_wait"}, items=[{"seconds": 0.05}] * 200, group="waits")
        records = client.call("job.wait", group="waits", timeout=seconds(30))["finished"]
        assert waiting["count"] == len(records) == 200
        assert {record["outcome"] for record in records} == {"succeeded"}
        assert len({record["result"]["thread"] for record in records}) == 1
        endless = client.call("job.submit", job={"task": "plug_wait", "args": {"seconds": 600}})["id"]
        client.until_state(endless, "running")
        client.call("job.cancel", ids=[endless])
        assert client.call("job.wait", ids=[endless])["finished"][0]["outcome"] == "cancelled"

        # What is read goes through the reactor, by code of the plug-in's.
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "server"))
            server.listen()

            def serve():
                for _ in range(20):
                    connection, _ = server.accept()
                    with connection:
                        for _ in range(10):
                            connection.sendall(b"some text that is longer than one read")

            thread = threading.Thread(target=serve)
            thread.start()
            client.call("job.submit_many", template={"task": "plug_read"}, items=[{"socket": str(tmp_path / "server")}] * 20,
                        group="reads")
            records = client.call("job.wait", group="reads", timeout=seconds(30))["finished"]
            thread.join()
        assert [record["result"] for record in records] == ["some text that is longer than one read" * 10] * 20


def test_a_coroutine_that_blocks_holds_up_no_client(begin, directory, tmp_path):
    put(directory, "words.so")
    daemon = begin()
    with daemon.connect() as client:
        go_on = tmp_path / "go-on"
        blocked = client.call("job.submit", job={"task": "plug_block", "args": {"until": str(go_on)}})["id"]
        client.until_state(blocked, "running")
        assert run(client, "echo", 1)["result"] == 1
        assert run(client, "sleep", {"seconds": 0.01})["outcome"] == "succeeded"
        assert run(client, "plug_place")["outcome"] == "succeeded"
        assert client.call("job.get", id=blocked)["state"] == "running"
        go_on.write_text("")
        assert client.call("job.wait", ids=[blocked])["finished"][0]["outcome"] == "succeeded"


def test_its_threads_end_no_zygote_and_hold_up_no_end(begin, directory):
    put(directory, "threads.so", "thread")
    daemon = begin()
    with daemon.connect() as client:
        zygote = daemon.workers("zygote")
        assert run(client, "plug_place")["outcome"] == "succeeded"
        assert daemon.workers("zygote") == zygote
        assert len(os.listdir(f"/proc/{zygote[0]}/task")) == 1


# ---- what happens to the file

def test_a_plugin_that_was_replaced_stays_until_the_next_start(begin, directory):
    put(directory, "words.so")
    daemon = begin()
    with daemon.connect() as client:
        assert run(client, "plug_place")["result"]["version"] == "1"
        put(directory, "words.so", "again", **{"version=1": "version=2"})
        for host in daemon.workers("host"):
            os.kill(host, signal.SIGKILL)
            until(lambda pid=host: process_name(pid) != "stint-host", what="the host's end")
        assert run(client, "plug_place")["result"]["version"] == "1"  # a new host, with the file that the daemon has
        assert run(client, "plug_both", executor="thread")["result"]["version"] == "1"
        (directory / "words.so").unlink()
        assert run(client, "plug_place")["result"]["version"] == "1"
    put(directory, "words.so", "again", **{"version=1": "version=2"})
    daemon.restart()
    with daemon.connect() as client:
        for executor in ("process", "thread", "coroutine"):
            assert run(client, "plug_both", executor=executor)["result"]["version"] == "2"


def test_jobs_of_a_plugin_that_is_gone_fail_with_its_name(begin, directory):
    put(directory, "words.so", "hosts")
    daemon = begin(process__hosts=1)
    with daemon.connect() as client:
        running = client.call("job.submit", job={"task": "sleep", "args": {"seconds": 600}, "executor": "process"})["id"]
        queued = client.call("job.submit", job={"task": "plug_place"})["id"]
        client.until_state(running, "running")
    (directory / "words.so").unlink()
    daemon.restart()
    with daemon.connect() as client:
        record, = client.call("job.wait", ids=[queued], timeout=seconds(30))["finished"]
        assert record["outcome"] == "failed" and record["error"]["kind"] == "unknown_task"
        assert "'plug_place'" in record["error"]["message"]
        assert client.error("job.submit", job={"task": "plug_place"}).kind == "unavailable"


# ---- outside the tree

def test_the_example_is_built_against_what_is_installed(begin, directory, tmp_path):
    def build(*command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(240))
        assert done.returncode == 0, done.stdout + done.stderr

    prefix, source, built = tmp_path / "prefix", tmp_path / "example", tmp_path / "build"
    build("cmake", "--install", BIN.parent, "--prefix", prefix, "--component", "plugin")
    shutil.copytree(ROOT / "docs/examples/plugin", source)
    cache = dict(line.split("=", 1) for line in (BIN.parent / "CMakeCache.txt").read_text().splitlines()
                 if "=" in line and line[0] not in "#/")
    sanitize = cache["STINT_SANITIZE:STRING"]
    compiler = next(value for key, value in cache.items() if key.startswith("CMAKE_CXX_COMPILER:"))
    flags = f"-fsanitize={sanitize} -fno-sanitize=vptr{',function' if 'clang' in compiler else ''}" if sanitize else ""
    build("cmake", "-G", "Ninja", "-S", source, "-B", built, f"-DCMAKE_PREFIX_PATH={prefix}",
          f"-DCMAKE_CXX_COMPILER={compiler}",
          f"-DCMAKE_CXX_FLAGS={flags}")
    build("cmake", "--build", built)
    built_file = built / "example.so"
    built_file.chmod(0o755)
    shutil.copy(built_file, directory / "example.so")

    text = tmp_path / "text"
    text.write_text("two words\nand three more\n")
    daemon = begin()
    with daemon.connect() as client, socket.socket() as server:
        example = states(client)["example.so"]
        assert example["tasks"] == ["port_open", "word_count"], example
        assert run(client, "word_count", str(text))["result"] == {"lines": 2, "words": 5}
        assert run(client, "word_count", {"file": str(text)}, executor="thread")["result"] == {"lines": 2, "words": 5}
        missing = run(client, "word_count", "/nowhere")
        assert missing["error"] == {"kind": "file", "message": "/nowhere cannot be read"}
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert run(client, "port_open", {"port": port})["result"] is False
        server.listen()
        assert run(client, "port_open", {"port": port})["result"] is True
        assert run(client, "port_open", {"port": 65536})["error"]["kind"] == "invalid_args"
