"""Idempotency keys: the same key and payload again is the first call over again, also after a restart."""

import pytest

JOB = {"shell": "echo $STINT_JOB_ID", "key": "nightly"}


def test_the_same_job_again_is_the_first(client):
    first = client.call("job.submit", job=JOB)
    again = client.call("job.submit", job={"key": "nightly", "shell": "echo $STINT_JOB_ID"})
    assert (first["duplicate"], again) == (False, {"id": first["id"], "duplicate": True})
    record = client.call("job.run", job=JOB, output=True)
    assert record["id"] == first["id"]
    assert client.call("job.run", job=JOB)["id"] == first["id"]  # it has ended by now


def test_the_order_of_fields_does_not_matter_and_values_do(client):
    first = client.call("job.submit", job={"task": "echo", "args": {"a": 1, "b": [1, 2]}, "key": "k1"})
    assert client.call("job.submit", job={"key": "k1", "args": {"b": [1, 2], "a": 1}, "task": "echo"})["id"] == first["id"]
    error = client.error("job.submit", job={"task": "echo", "args": {"a": 2, "b": [1, 2]}, "key": "k1"})
    assert (error.kind, error.data["field"]) == ("conflict", "key")


def test_a_whole_call(client):
    call = {"template": {"command": ["echo", "{}"]}, "items": ["a", "b"], "key": "batch"}
    first = client.call("job.submit_many", **call)
    again = client.call("job.submit_many", **call)
    assert again == {**first, "duplicate": True}
    assert client.error("job.submit_many", **{**call, "items": ["a", "c"]}).kind == "conflict"
    inside = client.error("job.submit_many", jobs=[{"command": ["true"]}, {"command": ["true"], "key": "x"}])
    assert (inside.kind, inside.data["field"]) == ("invalid_params", "jobs[1].key")


@pytest.mark.parametrize("durable", [True, False])
def test_a_key_goes_with_its_record(client, durable):
    job = {"command": ["true"], "key": f"short-lived-{durable}", "durable": durable}
    first = client.call("job.run", job=job)["id"]
    client.call("job.forget", ids=[first])
    assert client.call("job.submit", job=job)["id"] > first


def test_a_key_of_many_goes_with_the_last_of_them(start):
    daemon = start(process__slots=1)
    client = daemon.connect()
    call = {"template": {"shell": f"while ! test -e {daemon.home}/$STINT_ITEM; do sleep 0.02; done"}, "items": ["a", "b", "c"],
            "key": "nightly", "group": "nightly"}
    first = client.call("job.submit_many", **call)
    again = {**first, "duplicate": True}
    jobs = range(first["first"], first["first"] + 3)
    (daemon.home / "a").touch()
    client.wait(jobs[0])
    client.call("job.forget", ids=[jobs[0]])
    assert client.call("job.submit_many", **call) == again
    daemon.kill()
    daemon.restart()
    client = daemon.connect()
    assert client.call("job.submit_many", **call) == again
    for name in "bc":
        (daemon.home / name).touch()
    client.wait(*jobs[1:])
    client.call("job.forget", ids=[jobs[2], jobs[2]])
    assert client.call("job.submit_many", **call) == again
    client.call("job.forget", group="nightly")
    assert client.call("job.submit_many", **call)["first"] > jobs[2]


def test_a_key_outlives_the_daemon(start):
    daemon = start()
    client = daemon.connect()
    first = client.call("job.submit", job=JOB)["id"]
    many = client.call("job.submit_many", jobs=[{"command": ["true"]}] * 3, key="three")
    daemon.kill()
    daemon.restart()
    client = daemon.connect()
    assert client.call("job.submit", job=JOB) == {"id": first, "duplicate": True}
    assert client.call("job.submit_many", jobs=[{"command": ["true"]}] * 3, key="three") == {**many, "duplicate": True}
    assert client.error("job.submit", job={**JOB, "shell": "true"}).kind == "conflict"
