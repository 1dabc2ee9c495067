"""How long finished jobs are kept, over restarts."""

import time

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


# Each well within a minute, of a daemon that goes on running.
IN_TIME = 5


def test_a_number_is_kept_in_time(start):
    client = start(retention__jobs=5).connect()
    many = client.call("job.submit_many", template={"command": ["true"]}, items=list(range(12)), group="g")
    client.wait(many["first"] + 11)
    until(lambda: answers_purged(client, many["first"]), IN_TIME, "the oldest to be dropped")
    until(lambda: len(client.call("job.list")["jobs"]) == 5, IN_TIME, "as many to go as are too many")


def test_a_size_is_kept_in_time(start):
    daemon = start(retention__output_bytes=300_000)
    client = daemon.connect()
    client.wait(*(client.submit(shell="head -c 200000 /dev/zero") for _ in range(4)))
    until(lambda: len(list((daemon.state / "out").iterdir())) == 1, IN_TIME, "the output of the older ones to go")


def test_an_age_below_a_minute_is_kept_in_time(start):
    client = start(retention__age=2).connect()
    short, long, plain = (client.submit(command=["true"], **keep) for keep in ({"keep": 1}, {"keep": 3600}, {}))
    ended = max(record["finished_at"] for record in client.wait(short, long, plain))
    until(lambda: answers_purged(client, plain), IN_TIME, "the record to grow old")
    assert time.time() - ended >= 2
    assert answers_purged(client, short) and not answers_purged(client, long)


def test_a_reader_that_has_stopped_holds_up_only_what_it_waits_for(start):
    daemon = start(retention__jobs=10, process__slots=2)
    client, reader = daemon.connect(), daemon.connect()
    wanted = client.call("job.submit_many", template={"task": "echo"}, items=["x" * 3000] * 1500, group="wanted")
    stalled = reader.post("job.results", group="wanted")
    until(lambda: client.call("job.wait", group="wanted", timeout=0)["pending"] == [], 20, "all that it waits for to end")
    other = client.call("job.submit_many", template={"task": "echo"}, items=list(range(100)), group="other")
    until(lambda: answers_purged(client, other["first"] + 50), IN_TIME, "what nobody waits for to go")
    assert not answers_purged(client, wanted["first"] + 1499)
    records = reader.rest(reader.answer(stalled)["stream"])
    assert len(records) == 1500


def test_a_reader_that_has_gone_holds_up_nothing(start):
    client = start(retention__jobs=10).connect()
    many = client.call("job.submit_many", template={"task": "echo"}, items=list(range(1100)), group="read")
    records = client.rest(client.call("job.results", group="read")["stream"])
    assert len(records) == 1100
    until(lambda: answers_purged(client, records[1089]["id"]), IN_TIME, "all but the newest to go")


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


def test_what_was_dropped_answers_purged(client):
    job = client.call("job.run", job={"command": ["true"]})["id"]
    late = {"job.signal": {"id": job, "signal": "TERM"}, "job.input": {"id": job, "data": "x"}, "job.enter": {"job": job, "attempt": 1}}
    assert {client.error(method, **params).kind for method, params in late.items()} == {"conflict"}, "it has finished"
    client.call("job.forget", ids=[job])
    assert {client.error(method, **params).kind for method, params in late.items()} == {"purged"}
    assert client.error("job.enter", job=job + 1000, attempt=1).kind == "not_found"


def test_a_stream_whose_records_are_dropped_says_so(daemon, client):
    client.call("job.submit_many", template={"task": "echo"}, items=["x" * 3000] * 1500, group="read too late")
    reader = daemon.connect()
    asked = reader.post("job.results", group="read too late")
    until(lambda: client.call("job.wait", group="read too late", timeout=0)["pending"] == [], 20, "all of them to end")
    client.call("job.forget", group="read too late")
    stream = reader.answer(asked)["stream"]
    assert len(reader.rest(stream)) < 1500
    assert (reader.ends[stream]["reason"], reader.ends[stream]["error"]["data"]["kind"]) == ("error", "purged")

    slow = client.submit(shell=f"while ! test -e {daemon.home}/go; do sleep 0.02; done")
    quick = client.submit(command=["true"])
    client.wait(quick)
    stream = reader.call("job.results", ids=[slow, quick], order="submission")["stream"]
    client.call("job.forget", ids=[quick])
    (daemon.home / "go").touch()
    assert [record["id"] for record in reader.rest(stream)] == [slow]
    assert reader.ends[stream]["error"]["data"]["kind"] == "purged"
