"""A reader that resumes by `since` over many deaths of the daemon sees every durable result exactly once, in order."""

import threading

from account import long_or_short
from harness import Client, seconds, until

ROUNDS = long_or_short(200, 20)


class Submitter(threading.Thread):
    """Submits without pause; what is not acknowledged may or may not exist."""

    def __init__(self, daemon, group):
        super().__init__()
        self.daemon_ = daemon
        self.group = group
        self.over = threading.Event()
        self.acknowledged = set()
        self.defect = None

    def run(self):
        try:
            while not self.over.is_set():
                try:
                    with Client(self.daemon_.socket) as client:
                        while not self.over.is_set():
                            self.acknowledged.add(client.submit(task="echo", args=1, group=self.group))
                            self.acknowledged.add(client.submit(command=["true"], group=self.group))
                            client.submit(task="echo", args=2, group=self.group, durable=False)
                except OSError:
                    self.over.wait(0.005)
                except AssertionError as error:
                    if "the daemon closed the connection" not in str(error) and "ended inside a line" not in str(error):
                        raise
        except BaseException as error:
            self.defect = error


class Reader:
    """All of the caller's results, or a group's, from where it was when the connection broke."""

    def __init__(self, daemon, **what):
        self.daemon = daemon
        self.what = what
        self.since = 0
        self.seen = []

    def read(self, enough):
        """Until `enough` says so or the daemon is gone."""
        with Client(self.daemon.socket) as client:
            stream = client.call("job.results", since=self.since, **self.what)["stream"]
            while not enough():
                try:
                    record = client.item(stream, timeout=20)
                except AssertionError:
                    return  # the connection has ended, maybe inside a line, which then does not count
                if record is None:
                    return
                assert record["state"] == "finished"
                assert record["seq"] > self.since, f"seq {record['seq']} after {self.since}"
                self.since = record["seq"]
                self.seen.append(record["id"])


def exactly_once(daemon, chance, submitter, reader):
    submitter.start()
    try:
        for _ in range(ROUNDS):
            # The daemon is killed by the clock of what was read: always in the middle of a stream.
            goal = len(reader.seen) + chance.randint(1, 40)
            reader.read(lambda goal=goal: len(reader.seen) >= goal or submitter.defect)
            assert len(reader.seen) >= goal or submitter.defect, "the stream ended"
            daemon.restart()
    finally:
        submitter.over.set()
        submitter.join()
    if submitter.defect:
        raise submitter.defect
    daemon.connect().wait(*submitter.acknowledged)
    missing = set(submitter.acknowledged)

    def all_there():
        missing.difference_update(reader.seen)
        return not missing

    reader.read(all_there)
    assert not missing, f"never seen: {sorted(missing)}"
    twice = len(reader.seen) - len(set(reader.seen))
    assert not twice, f"{twice} results were seen twice"


def test_all_results(start, chance):
    daemon = start(process__slots=4)
    exactly_once(daemon, chance, Submitter(daemon, "resumed"), Reader(daemon))


def test_results_of_a_group(start, chance):
    daemon = start(process__slots=4)
    submitter = Submitter(daemon, "resumed")
    # A member that outlives the rounds keeps the group's stream open.
    anchor = daemon.connect().submit(command=["sleep", "300"], group="resumed")
    exactly_once(daemon, chance, submitter, Reader(daemon, group="resumed"))
    client = daemon.connect()
    client.call("job.cancel", ids=[anchor])
    assert client.wait(anchor)[0]["outcome"] == "cancelled"
    until(lambda: client.call("job.get", id=anchor)["state"] == "finished", seconds(5), "the anchor")
