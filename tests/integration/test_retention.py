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


def test_output_of_earlier_attempts_counts(start):
    daemon = start(retention__output_bytes=150_000)
    client = daemon.connect()
    retried = client.submit(shell='test $STINT_ATTEMPT = 2 || { head -c 200000 /dev/zero; exit 1; }', retry={"max": 1, "delay": 0})
    client.wait(retried)
    plain = client.submit(command=["true"])
    client.wait(plain)
    daemon.restart()
    client = daemon.connect()
    until(lambda: answers_purged(client, retried), 20, "the one with a large first attempt to go")
    until(lambda: not list((daemon.state / "out").iterdir()), 20, "its output to go")
    assert client.call("job.get", id=plain)["outcome"] == "succeeded"


def test_a_keep_of_before_the_restart(start):
    daemon = start()
    client = daemon.connect()
    short, later, plain = (client.submit(command=["true"], **keep) for keep in ({"keep": 2}, {"keep": 3}, {}))
    client.wait(short, later, plain)
    daemon.restart()
    client = daemon.connect()
    assert client.call("job.get", id=later)["outcome"] == "succeeded"
    until(lambda: answers_purged(client, short), 20, "the first to go")
    until(lambda: answers_purged(client, later), 20, "the second to go")
    assert client.call("job.get", id=plain)["outcome"] == "succeeded"


def test_what_somebody_waits_for_stays(start):
    daemon = start(process__slots=4)
    client, other = daemon.connect(), daemon.connect()
    slow = client.submit(shell=f"while ! test -e {daemon.home}/go; do sleep 0.02; done")
    quick = [client.submit(command=["echo", str(number)], keep=0.5) for number in range(3)]
    in_order = client.call("job.results", ids=[slow, *quick], order="submission", output=True)["stream"]
    all_of_them = client.post("job.wait", ids=[*quick, slow])
    until(lambda: all(other.call("job.get", id=job)["state"] == "finished" for job in quick), what="the quick ones to end")
    # One that nobody waits for goes at its time, and these are older.
    unwanted = other.submit(command=["true"], keep=0.5)
    until(lambda: answers_purged(other, unwanted), 20, "the one that nobody waits for to go")
    (daemon.home / "go").touch()
    records = client.rest(in_order)
    assert [record["id"] for record in records] == [slow, *quick]
    assert [record["stdout"]["data"] for record in records[1:]] == ["0\n", "1\n", "2\n"]
    answer = client.answer(all_of_them)
    assert {record["id"] for record in answer["finished"]} == {slow, *quick} and answer["pending"] == []
