"""A backlog deeper than what is kept in memory: nobody outside can tell a job whose specification lies in the store only."""

import pytest

DEEP = 3_000


def backlog(client, group="deep", **more):
    """One program that holds the only slot, and jobs with specifications of their own behind it."""
    blocker = client.submit(command=["sleep", "1000"], **more)
    client.until_state(blocker, "running")
    jobs = [{"command": ["echo", f"n{i}"], "name": f"name {i}", "tags": [f"tag{i % 100}"], **more} for i in range(DEEP)]
    first = client.call("job.submit_many", jobs=jobs, group=group)["first"]
    return blocker, first


@pytest.mark.parametrize("more", [{}, {"locks": ["one"]}], ids=["slots", "lock"])
def test_whoever_asks_sees_the_whole_job(start, more):
    daemon = start(process__slots=1)
    client = daemon.connect()
    blocker, first = backlog(client, **more)
    last = first + DEEP - 1

    def look():
        record = client.call("job.get", id=last)
        assert (record["state"], record["name"], record["command"]) == ("queued", f"name {DEEP - 1}", ["echo", f"n{DEEP - 1}"])
        assert client.call("job.spec", id=last)["tags"] == [f"tag{(DEEP - 1) % 100}"]
        assert client.call("job.why", id=last)["reasons"][0]["ahead"] == DEEP - 1
        assert client.call("job.output", id=last)["end"] is False
        assert client.error("job.input", id=last, data="x").kind == "conflict"
        page = client.call("job.list", since_id=last - 10, state="queued")["jobs"]
        assert [job["name"] for job in page] == [f"name {i}" for i in range(DEEP - 10, DEEP)]
        found, since = [], 0
        while since is not None:
            answer = client.call("job.list", since_id=since, tag="tag7", limit=1000)
            found, since = found + answer["jobs"], answer.get("next")
        assert [job["name"] for job in found] == [f"name {i}" for i in range(7, DEEP, 100)]

    look()
    assert client.call("job.cancel", ids=[first + 2_000])["cancelled"] == [first + 2_000]
    (record,) = client.wait(first + 2_000)
    assert (record["outcome"], record["name"]) == ("cancelled", "name 2000")

    client.call("job.cancel", ids=[blocker], force=True)
    client.wait(first)
    daemon.kill_everything()
    daemon.restart()
    client = daemon.connect()
    results = client.results(group="deep", order="submission")
    assert [job["name"] for job in results] == [f"name {i}" for i in range(DEEP)]
    ran = [job for job in results if job["outcome"] == "succeeded"]
    assert len(ran) >= DEEP - 60, "all but the one that was cancelled, and what ran when everything was killed"
    assert client.output(last) == f"n{DEEP - 1}\n".encode()


def test_a_whole_backlog_is_cancelled(start):
    daemon = start(process__slots=1)
    client = daemon.connect()
    blocker, first = backlog(client)
    assert len(client.call("job.cancel", group="deep")["cancelled"]) == DEEP
    results = client.results(group="deep")
    assert sorted(job["id"] for job in results) == list(range(first, first + DEEP))
    assert {job["outcome"] for job in results} == {"cancelled"}
    client.call("job.cancel", ids=[blocker], force=True)


def test_a_cancelled_backlog_ends_after_a_restart(start):
    daemon = start(process__slots=1)
    client = daemon.connect()
    _, first = backlog(client)
    client.call("job.cancel", group="deep")
    daemon.kill_everything()
    daemon.restart()
    client = daemon.connect()
    assert {job["outcome"] for job in client.results(group="deep")} == {"cancelled"}
    assert client.call("job.get", id=first + DEEP - 1)["name"] == f"name {DEEP - 1}"
