"""How long finished jobs are kept, over restarts."""

from harness import RpcError, until


def answers_purged(client, number):
    try:
        client.call("job.get", id=number)
    except RpcError as error:
        return error.kind == "purged"
    return False


def test_the_oldest_go_first_with_their_output(start):
    daemon = start(retention__jobs=10)
    client = daemon.connect()
    client.call("job.submit_many", template={"shell": "head -c 70000 /dev/zero"}, items=list(range(30)), group="g")
    ended = [record["id"] for record in client.call("job.wait", group="g")["finished"]]  # in the order of completion
    assert len(list((daemon.state / "out").iterdir())) == 30

    daemon.restart()
    client = daemon.connect()
    until(lambda: answers_purged(client, ended[0]), 20, "the oldest to be dropped")
    until(lambda: len(list((daemon.state / "out").iterdir())) == 10, 20, "their output to go")
    assert answers_purged(client, ended[19])
    assert client.error("job.output", id=ended[0], of="stdout").kind == "purged"
    assert client.call("job.get", id=ended[20])["outcome"] == "succeeded"
    assert client.call("job.output", id=ended[29], of="stdout", limit=10)["next"] == 10
    assert client.error("job.get", id=max(ended) + 1).kind == "not_found"


def test_by_age(start):
    daemon = start(retention__age=1)
    client = daemon.connect()
    record = client.call("job.run", job={"command": ["true"]})
    until(lambda: answers_purged(client, record["id"]), 20, "the record to grow old")
