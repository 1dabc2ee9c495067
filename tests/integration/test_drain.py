"""daemon.drain and daemon.undrain: what they wait for, what they refuse meanwhile, and how the waiting ends."""

import pytest
from harness import alive, until


@pytest.fixture
def one(start):
    """A daemon with one slot for programs."""
    return start(process__slots=1)


def held(client, path):
    """A program that runs until the file is there."""
    number = client.submit(shell=f"until [ -e {path} ]; do sleep 0.01; done")
    client.until_state(number, phase="running")
    return number


def test_running_starts_nothing_more(one, tmp_path):
    with one.connect() as client:
        running = held(client, tmp_path / "go")
        queued = client.submit(command=["true"])
        waiting = client.post("daemon.drain")
        assert client.error("job.submit", job={"command": ["true"]}).kind == "draining"
        assert client.error("job.submit_many", jobs=[{"command": ["true"]}]).kind == "draining"
        assert client.error("job.run", job={"command": ["true"]}).kind == "draining"
        assert waiting not in client.answers
        (tmp_path / "go").touch()
        assert client.answer(waiting) == {"pending": [], "count": 0}
        assert client.call("job.get", id=running)["outcome"] == "succeeded"
        assert client.call("job.why", id=queued) == {"state": "queued", "reasons": [{"kind": "draining"}]}
        assert client.call("daemon.undrain") == {}
        assert client.wait(queued)[0]["outcome"] == "succeeded"
        client.submit(command=["true"])


def test_a_known_key_is_no_new_work(one):
    job, many = {"command": ["true"], "key": "drained"}, {"jobs": [{"command": ["true"]}], "key": "drained too"}
    with one.connect() as client:
        first, group = client.call("job.run", job=job)["id"], client.call("job.submit_many", **many)
        client.wait(group["first"])
        client.call("daemon.drain")
        assert client.call("job.submit", job=job) == {"id": first, "duplicate": True}
        assert client.call("job.run", job=job)["id"] == first
        assert client.call("job.submit_many", **many) == {**group, "duplicate": True}
        client.call("daemon.undrain")


def test_queued_runs_what_is_queued(one, tmp_path):
    with one.connect() as client:
        running = held(client, tmp_path / "go")
        queued = [client.submit(command=["true"]) for _ in range(3)]
        left = client.call("daemon.drain", scope="queued", timeout=0)
        assert left == {"pending": [running, *queued], "count": 4}
        (tmp_path / "go").touch()
        assert client.call("daemon.drain", scope="queued") == {"pending": [], "count": 0}
        assert {record["outcome"] for record in client.call("job.list", state="finished")["jobs"]} == {"succeeded"}


def test_daemon_jobs_do_not_keep_it(one):
    with one.connect() as client:
        number = client.submit(command=["sleep", "60"], daemon=True)
        client.until_state(number)
        assert client.call("daemon.drain")["count"] == 0
        assert client.call("job.get", id=number)["outcome"] == "cancelled"


def test_daemon_jobs_make_room_for_what_is_queued(start):
    """They have all the slots and would never end: nobody else could, and so the drain could not either."""
    daemon = start(process__slots=2)
    with daemon.connect() as client:
        endless = [client.submit(command=["sleep", "60"], daemon=True) for _ in range(2)]
        for job in endless:
            client.until_state(job)
        behind = client.submit(command=["sleep", "60"], daemon=True)
        queued = client.submit(command=["true"])
        other = client.submit(task="echo", args=1, executor="thread", daemon=True)
        assert client.call("daemon.drain", scope="queued") == {"pending": [], "count": 0}
        assert client.call("job.get", id=queued)["outcome"] == "succeeded"
        assert {client.call("job.get", id=job)["outcome"] for job in [*endless, behind]} == {"cancelled"}
        assert client.call("job.get", id=other)["outcome"] == "succeeded"


def test_daemon_jobs_stay_while_a_job_runs_beside_them(start, tmp_path):
    daemon = start(process__slots=2)
    with daemon.connect() as client:
        endless = client.submit(command=["sleep", "60"], daemon=True)
        client.until_state(endless)
        running = held(client, tmp_path / "go")
        queued = client.submit(command=["true"])
        assert client.call("daemon.drain", scope="queued", timeout=0.2)["count"] == 3
        assert client.call("job.get", id=endless)["phase"] == "running"
        (tmp_path / "go").touch()
        client.wait(running, queued)
        assert client.call("daemon.drain", scope="queued")["count"] == 0


def test_timeout_tells_what_is_left_and_the_drain_goes_on(one, tmp_path):
    with one.connect() as client:
        running = held(client, tmp_path / "go")
        assert client.call("daemon.drain", timeout=0.1) == {"pending": [running], "count": 1}
        assert client.error("job.submit", job={"command": ["true"]}).kind == "draining"
        (tmp_path / "go").touch()
        assert client.call("daemon.drain")["count"] == 0


def test_who_waits_is_told_of_another_end(one, tmp_path):
    with one.connect() as client, one.connect() as other:
        held(client, tmp_path / "go")
        waiting = client.post("daemon.drain", scope="queued")
        until(lambda: other.call("daemon.stats")["draining"], what="the drain")
        again = other.post("daemon.drain")
        with pytest.raises(Exception, match="another scope"):
            client.answer(waiting)
        assert client.call("daemon.undrain") == {}
        with pytest.raises(Exception, match="undrain"):
            other.answer(again)
        (tmp_path / "go").touch()


def test_a_client_that_leaves_leaves_the_drain(one, tmp_path):
    with one.connect() as client:
        held(client, tmp_path / "go")
        with one.connect() as other:
            other.post("daemon.drain")
            until(lambda: client.call("daemon.stats")["draining"], what="the drain")
        until(lambda: client.call("daemon.stats")["streams"] == 0, what="the end of the waiting call")
        assert client.error("job.submit", job={"command": ["true"]}).kind == "draining"
        (tmp_path / "go").touch()


def test_it_ends_with_the_daemon(one, tmp_path):
    with one.connect() as client:
        running = held(client, tmp_path / "go")
        queued = client.submit(command=["true"])
        client.call("daemon.drain", timeout=0)
        pid = client.call("job.get", id=running)["pid"]
    one.restart()
    with one.connect() as client:
        assert alive(pid)
        assert not client.call("daemon.stats")["draining"]
        (tmp_path / "go").touch()
        assert [record["outcome"] for record in client.wait(running, queued)] == ["succeeded"] * 2


def test_not_in_a_batch_and_not_without_an_id(one):
    with one.connect() as client:
        client.send('[{"jsonrpc":"2.0","id":1,"method":"daemon.drain"}]\n{"jsonrpc":"2.0","method":"daemon.drain"}\n')
        assert client.read_line()[0]["error"]["data"]["kind"] == "invalid_request"
        assert not client.call("daemon.stats")["draining"]
        assert client.error("daemon.drain", scope="all").field == "scope"
        assert client.error("daemon.drain", timeout=-1).field == "timeout"
