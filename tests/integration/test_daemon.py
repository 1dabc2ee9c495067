"""Start, stop and self-description: info, stats, shutdown, the socket and the state directory, flags and configuration."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest
from harness import BIN, seconds, until


def stintd(*arguments, **options):
    return subprocess.run([BIN / "stintd", *map(str, arguments)], capture_output=True, text=True, timeout=seconds(30), **options)


def test_info(client, daemon):
    info = client.call("daemon.info")
    assert info["protocol"] == 1 and info["pid"] == daemon.pid and info["version"] and info["instance"] and info["started_at"] > 1e9
    assert info["tree_kill"] in ("scan", "cgroup")
    assert {"process", "thread", "coroutine"} <= set(info["executors"])
    assert isinstance(info["capabilities"], list)
    bounds = {"line_bytes_max": 16 << 20, "depth_levels_max": 64, "batch_requests_max": 1000}
    assert {key: info["bounds"].get(key) for key in bounds} == bounds


def test_stats_count(client):
    client.run(task="echo")
    client.run(task="fail")
    stats = client.call("daemon.stats")
    text = json.dumps(stats)
    for word in ("running", "queued", "succeeded", "failed", "process", "coroutine"):
        assert word in text, stats


def test_version_and_help():
    assert stintd("--version").stdout.split()[-1].count(".") == 2
    done = stintd("--help")
    assert done.returncode == 0 and "--state-dir" in done.stdout and "--check-config" in done.stdout


def test_wrong_flags_and_settings(tmp_path):
    common = ["--state-dir", tmp_path / "state", "--socket", tmp_path / "s"]
    done = stintd("--no-such-flag")
    assert done.returncode == 64 and "--no-such-flag" in done.stderr
    done = stintd(*common, "--set", "process.slost=1")
    assert done.returncode == 78 and "process.slots" in done.stderr
    done = stintd(*common, "--set", "process.slots=0")
    assert done.returncode == 78 and "process.slots" in done.stderr and "1" in done.stderr
    config = tmp_path / "stint.toml"
    config.write_text("[process]\nslots = 4\n\n[thread]\nthreads = 'many'\n")
    done = stintd(*common, "--config", config, "--check-config")
    assert done.returncode == 78 and f"{config}:5" in done.stderr and "thread.threads" in done.stderr
    config.write_text("[process]\nslots = 4\n")
    assert stintd(*common, "--config", config, "--check-config").returncode == 0
    printed = stintd(*common, "--config", config, "--print-config").stdout
    assert "slots = 4" in printed and str(config) in printed


def test_the_socket_is_private(daemon):
    assert oct(daemon.socket.stat().st_mode & 0o777) == "0o600"
    assert oct(daemon.state.stat().st_mode & 0o777) == "0o700"


def test_a_stale_socket_is_replaced_a_live_one_never(start, tmp_path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "s"))
    stale.close()
    process = subprocess.Popen([BIN / "stintd", "--state-dir", tmp_path / "state", "--socket", tmp_path / "s"], stderr=subprocess.DEVNULL)
    try:

        def serves():
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(tmp_path / "s")) == 0

        until(serves, 20, "the daemon on the path of the stale socket")
        other = stintd("--state-dir", tmp_path / "other", "--socket", tmp_path / "s")
        assert other.returncode != 0 and str(tmp_path / "s") in other.stderr
        same = stintd("--state-dir", tmp_path / "state", "--socket", tmp_path / "s2")
        assert same.returncode == 75 and str(tmp_path / "s") in same.stderr, "it names the socket of the one that runs"
        assert serves()
    finally:
        process.terminate()
        assert process.wait(seconds(20)) == 0
    assert not (tmp_path / "s").exists()


def test_something_else_on_the_path_of_the_socket_is_left_alone(tmp_path):
    (tmp_path / "s").write_text("precious")
    done = stintd("--state-dir", tmp_path / "state", "--socket", tmp_path / "s")
    assert done.returncode != 0 and str(tmp_path / "s") in done.stderr
    assert (tmp_path / "s").read_text() == "precious"


def test_a_path_that_is_too_long(tmp_path):
    done = stintd("--state-dir", tmp_path / "state", "--socket", tmp_path / ("x" * 120))
    assert done.returncode != 0 and "10" in done.stderr and "long" in done.stderr


def test_the_longest_state_directory_and_one_that_is_too_long(start, tmp_path):
    def path(size):
        parts = [str(tmp_path)]
        while (left := size - len("/".join(parts)) - 1) > 0:
            parts.append("d" * (left if left <= 100 else min(100, left - 2)))
        return "/".join(parts)

    longest = path(495)
    assert len(longest) == 495
    with start(state=longest).connect() as client:
        assert client.run(command=["echo", "x" * 100_000])["outcome"] == "succeeded"
    done = stintd("--state-dir", longest + "d", "--socket", tmp_path / "s")
    assert done.returncode == 1 and "has 496 bytes and may have 495" in done.stderr


def test_shutdown_answers_first(start):
    daemon = start()
    client = daemon.connect()
    client.call("daemon.shutdown", jobs="cancel")
    assert daemon.process.wait(seconds(20)) == 0


def test_shutdown_that_drains(start):
    daemon = start(process__slots=1)
    client = daemon.connect()
    running = client.submit(command=["sleep", "0.5"])
    client.until_state(running, "running")
    stream = client.call("job.results", ids=[running])["stream"]
    client.call("daemon.shutdown", jobs="drain")
    error = None
    try:
        client.call("job.submit", job={"task": "echo"})
    except Exception as refused:
        error = refused
    assert error is not None and error.kind == "draining" and error.data["retryable"] is True
    assert [record["outcome"] for record in client.rest(stream)] == ["succeeded"]
    assert daemon.process.wait(seconds(20)) == 0


def test_daemon_jobs_do_not_hold_a_drain_up(start):
    daemon = start(process__slots=2)
    client = daemon.connect()
    reader = client.submit(command=["sleep", "300"], daemon=True)
    writer = client.submit(command=["sleep", "0.5"])
    client.until_state(reader, "running", "running")
    client.until_state(writer, "running", "running")
    stream = client.call("job.results", ids=[reader, writer])["stream"]
    before = time.monotonic()
    client.call("daemon.shutdown", jobs="drain")
    records = client.rest(stream)
    assert [(record["id"], record["outcome"]) for record in records] == [(writer, "succeeded"), (reader, "cancelled")]
    assert daemon.process.wait(seconds(20)) == 0
    assert 0.3 < time.monotonic() - before < seconds(10)


def test_idle_costs_nothing(start):
    daemon = start()
    with daemon.connect() as client:
        client.run(command=["true"])

        def switches():
            total = 0
            for thread in os.listdir(f"/proc/{daemon.pid}/task"):
                with open(f"/proc/{daemon.pid}/task/{thread}/status") as file:
                    total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
            return total

        time.sleep(0.3)  # the daemon settles after the job
        before = switches()
        time.sleep(1)  # the measure: nothing wakes it
        woken = switches() - before
    if seconds(1) == 1:
        assert woken <= 2, f"{woken} wake-ups in a second"


@pytest.mark.parametrize("hurry", ["stop.timeout", "second signal"])
def test_a_drain_that_is_cut_short_keeps_what_has_not_begun(start, hurry):
    daemon = start(process__slots=1, daemon__on_stop="drain", stop__timeout=0.3 if hurry == "stop.timeout" else 60)
    with daemon.connect() as client:
        running = client.submit(command=["sleep", "300"], key="running")
        client.until_state(running, "running", "running")
        queued = client.submit(shell="exit 3")
        delayed = client.submit(command=["true"], delay=1000)
        daemon.process.send_signal(signal.SIGTERM)
        if hurry == "second signal":
            until(lambda: client.call("daemon.stats")["draining"], 10, "the drain")
            daemon.process.send_signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    daemon.launch()
    daemon.until_serving()
    with daemon.connect() as client:
        assert client.call("job.get", id=running)["outcome"] == "cancelled"
        assert client.wait(queued)[0]["exit_code"] == 3
        assert client.call("job.get", id=delayed)["state"] == "waiting"


def test_a_second_signal_ends_a_drain(start):
    daemon = start(process__slots=1, daemon__on_stop="drain")
    client = daemon.connect()
    job = client.submit(command=["sleep", "300"])
    client.until_state(job, "running", "running")
    stream = client.call("job.results", ids=[job])["stream"]
    daemon.process.send_signal(signal.SIGTERM)
    until(lambda: client.call("daemon.stats")["draining"], 10, "the drain")
    daemon.process.send_signal(signal.SIGTERM)
    assert [record["outcome"] for record in client.rest(stream)] == ["cancelled"]
    assert daemon.process.wait(seconds(10)) == 0


def test_a_second_signal_does_not_wait_for_a_long_grace(start):
    daemon = start(process__slots=1)
    client = daemon.connect()
    job = client.submit(shell="trap '' TERM; echo ready; while :; do sleep 1; done", grace=60)
    client.until_output(job, "ready")
    daemon.process.send_signal(signal.SIGTERM)
    client.until_state(job, "running", "stopping")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(seconds(10)) == 0
