"""The toolbox of concurrency, the rows about waiting for each other: by jobs that use the command line."""

import time

import pytest
from harness import BIN, seconds, until

PATH = f"{BIN}:/usr/bin:/bin"


@pytest.fixture(scope="module")
def settings():
    return {"process__slots": 12}


def script(client, text, **job):
    return client.submit(shell=text, env={"PATH": PATH}, **job)


def most_at_once(records):
    edges = sorted([(one["started_at"], 1) for one in records] + [(one["finished_at"], -1) for one in records])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


def test_producers_and_consumers(client, tmp_path):
    """Ten materials, three producers, two consumers, two channels: each is produced once and consumed once."""
    client.call("channel.open", name="materials", capacity=3)
    client.call("channel.open", name="goods", capacity=2)
    produce = "while m=$(stint channel get -q materials); do echo $m >> {0}/produced; stint channel put goods good-$m; done"
    consume = "while g=$(stint channel get -q goods); do echo $g >> {0}/consumed; done"
    producers = [script(client, produce.format(tmp_path)) for _ in range(3)]
    for number in range(3):
        client.call("channel.put", name="materials", item=str(number))
    # Nobody consumes: a full channel holds the producers up, and they the materials.
    until(lambda: [row["putting"] for row in client.call("channel.list")["channels"] if row["name"] == "goods"] == [1])
    consumers = [script(client, consume.format(tmp_path)) for _ in range(2)]
    for number in range(3, 10):
        client.call("channel.put", name="materials", item=str(number))
    client.call("channel.close", name="materials")
    assert {record["outcome"] for record in client.wait(*producers)} == {"succeeded"}
    client.call("channel.close", name="goods")
    assert {record["outcome"] for record in client.wait(*consumers)} == {"succeeded"}
    assert sorted((tmp_path / "produced").read_text().split()) == [str(number) for number in range(10)]
    assert sorted((tmp_path / "consumed").read_text().split()) == [f"good-{number}" for number in range(10)]


def test_a_job_that_watches_a_named_event(client):
    job = script(client, "echo tick; until stint event wait -q stop --timeout 0.02; do echo tick; done; echo last words")
    client.until_output(job, "tick\ntick\n")
    client.call("event.set", name="stop")
    record = client.wait(job)[0]
    assert record["outcome"] == "succeeded" and client.output(job).endswith(b"tick\nlast words\n")
    client.call("event.clear", name="stop")


def test_all_go_on_when_the_event_is_set(client):
    jobs = [script(client, "stint event wait go; date +%s.%N") for _ in range(5)]
    until(lambda: any(row["waiting"] == 5 for row in client.call("event.list")["events"]))
    before = time.time()
    client.call("event.set", name="go")
    client.wait(*jobs)
    assert all(float(client.output(job)) >= before for job in jobs)


def test_a_barrier(client, tmp_path):
    """A channel counts, an event opens: none passes before the last has arrived."""
    client.call("channel.open", name="arrived", capacity=10)
    text = f"date +%s.%N >> {tmp_path}/arrived; stint channel put arrived x; stint event wait open; date +%s.%N >> {tmp_path}/passed"
    first = [script(client, text) for _ in range(3)]
    keeper = script(client, "for i in 1 2 3 4; do stint channel get arrived; done; stint event set open")
    until(lambda: any(row["waiting"] == 3 for row in client.call("event.list")["events"]))
    assert not (tmp_path / "passed").exists()
    last = script(client, text)
    client.wait(*first, keeper, last)
    arrived = [float(word) for word in (tmp_path / "arrived").read_text().split()]
    passed = [float(word) for word in (tmp_path / "passed").read_text().split()]
    assert len(passed) == 4 and max(arrived) <= min(passed)


def test_lock_inside_the_job(client, tmp_path):
    account = tmp_path / "account"
    account.write_text("1000")
    withdraw = f"balance=$(cat {account}); sleep 0.05; [ $balance -ge 800 ] && echo $((balance - 800)) > {account} || echo not enough"
    jobs = [script(client, f"stint lock account -- sh -c '{withdraw}'") for _ in range(2)]
    client.wait(*jobs)
    assert account.read_text().strip() == "200"
    assert sorted(client.output(job) for job in jobs) == [b"", b"not enough\n"]


@pytest.mark.parametrize("whom", ["the job", "its stint"])
def test_a_killed_holder_frees_its_lock(client, whom):
    holder = script(client, "stint lock mine -- sh -c 'echo held; sleep 60'", timeout=60)
    client.until_output(holder, "held")
    waits = script(client, "stint lock mine -- echo free")
    until(lambda: client.call("lock.list")["locks"][0]["waiting"] == 1)
    if whom == "the job":
        client.call("job.cancel", ids=[holder], force=True)
    else:
        client.call("job.signal", id=holder, signal="KILL")
    assert client.wait(waits)[0]["outcome"] == "succeeded" and client.output(waits) == b"free\n"
    client.wait(holder)


def test_semaphore(client, tmp_path):
    """Twenty jobs, never more than three at once, measured inside the jobs."""
    client.call("semaphore.set", name="gpu", permits=3)
    inside = f"touch {tmp_path}/in.$$; ls {tmp_path} | grep -c in >> {tmp_path}/seen; sleep 0.03; rm {tmp_path}/in.$$"
    jobs = [script(client, inside, semaphores={"gpu": 1}) for _ in range(20)]
    records = client.wait(*jobs)
    assert {record["outcome"] for record in records} == {"succeeded"}
    assert max(int(word) for word in (tmp_path / "seen").read_text().split()) == 3


def test_coroutine_limit(client):
    client.call("semaphore.set", name="fifty", permits=50)
    many = client.call("job.submit_many", template={"task": "sleep", "executor": "coroutine", "semaphores": {"fifty": 1}},
                       items=[{"seconds": 0.01}] * 1000)
    records = client.results(group=many["group"])
    assert len(records) == 1000 and most_at_once(records) <= 50


def test_daemon_jobs_and_a_drain(start):
    """A reader that is a daemon job is stopped at once when the writer has ended in a drain, and goes on without one."""
    daemon = start(process__slots=2)
    client = daemon.connect()
    for drains in (False, True):
        reader = client.submit(shell="trap 'exit 0' TERM; while :; do sleep 0.02; done", daemon=True)
        writer = client.submit(command=["cat"], stdin="stream")
        client.until_state(reader, "running", "running")
        client.until_state(writer, "running", "running")
        drained = client.post("daemon.drain") if drains else None
        client.call("job.input", id=writer, end=True)
        client.wait(writer)
        if drains:
            assert client.answer(drained)["count"] == 0
            assert client.wait(reader)[0]["outcome"] == "cancelled"
        else:
            assert client.call("job.wait", ids=[reader], timeout=seconds(0.2))["pending"] == [reader]
            client.call("job.cancel", ids=[reader])
            client.wait(reader)
