"""kill -9 of the daemon, again and again at random moments, while clients submit and read: everything is accounted for."""

import collections
import random
import threading
import time

from account import Account, assert_ran_once, long_or_short, noting, runs_noted
from harness import Client, RpcError, seconds

CLIENTS = 6
KILLS = long_or_short(1_000, 50)


def program(ran, chance):
    """A program whose end is known before it runs: (job, its expectation)."""
    text = f"{chance.getrandbits(64):x}"
    code = chance.choice([0, 0, 0, 1, 7, 123])
    pause = chance.choice([0, 0, 0, 0.02, 0.1, 0.6])
    script = noting(ran, f"sleep {pause}\necho {text}\nexit {code}")
    job = {"shell": script} if chance.random() < 0.5 else {"command": ["/bin/sh", "-c", script]}
    return job, {"kind": "program", "code": code, "text": f"{text}\n"}


def task(chance):
    executor = chance.choice(["coroutine", "thread", "process"])
    if chance.random() < 0.5:
        value = chance.getrandbits(32)
        return {"task": "echo", "args": value, "executor": executor}, {"kind": "task", "result": value}
    pause = chance.choice([0, 0.01, 0.2])
    return {"task": "sleep", "args": pause, "executor": executor}, {"kind": "task", "result": pause}


def draw(ran, chance, durable):
    job, expected = program(ran, chance) if chance.random() < 0.5 else task(chance)
    if not durable:
        job["durable"] = False
    if chance.random() < 0.2:
        job["priority"] = chance.randint(-5, 5)
    return job, expected | {"durable": durable, "cancelled": False}


class Visitor(threading.Thread):
    """A client that goes on through all deaths of the daemon."""

    def __init__(self, daemon, account, ran, seed, over):
        super().__init__()
        self.daemon_ = daemon
        self.account = account
        self.ran = ran
        self.chance = random.Random(seed)
        self.over = over
        self.defect = None
        self.since = 0

    def run(self):
        try:
            while not self.over.is_set():
                try:
                    with Client(self.daemon_.socket) as client:
                        while not self.over.is_set():
                            self.turn(client)
                except (OSError, EOFError):
                    self.over.wait(0.005)  # no daemon just now
                except AssertionError as error:
                    if "the daemon closed the connection" not in str(error) and "ended inside a line" not in str(error):
                        raise
        except BaseException as error:
            self.defect = error

    def turn(self, client):
        action = self.chance.choices([self.submit, self.submit_many, self.read, self.wait, self.stream, self.cancel], [6, 1, 3, 2, 1, 1])[0]
        try:
            action(client)
        except RpcError as error:
            # What is not durable is forgotten with its daemon.
            if error.kind not in ("not_found", "purged") or action != self.cancel:
                raise

    def submit(self, client):
        job, expected = draw(self.ran, self.chance, self.chance.random() < 0.9)
        before = self.account.before_submit()
        self.account.acknowledged(client.submit(**job), expected, before)

    def submit_many(self, client):
        durable = self.chance.random() < 0.9  # the same for all jobs of a call
        drawn = [draw(self.ran, self.chance, durable) for _ in range(self.chance.randint(2, 20))]
        before = self.account.before_submit()
        answer = client.call("job.submit_many", jobs=[job for job, _ in drawn])
        assert answer["count"] == len(drawn)
        for place, (_, expected) in enumerate(drawn):
            # Ids of one call are consecutive; the next is measured against the one before.
            self.account.acknowledged(answer["first"] + place, expected, before)

    def read(self, client):
        number = self.account.some_job(self.chance)
        if number is None or not self.account.jobs[number]["durable"]:
            return
        known = self.account.known_as_finished(number)
        self.account.seen(client.call("job.get", id=number), known)

    def wait(self, client):
        numbers = {self.account.some_job(self.chance) for _ in range(3)} - {None}
        durable = [number for number in numbers if self.account.jobs[number]["durable"]]
        if durable:
            for record in client.call("job.wait", ids=durable, timeout=0.2)["finished"]:
                self.account.seen(record)

    def stream(self, client):
        """All results since what was read last, as far as they are there."""
        stream = client.call("job.results", since=self.since, timeout=0.1)["stream"]
        while (record := client.item(stream)) is not None:
            assert record["seq"] > self.since, f"seq {record['seq']} after {self.since}"
            self.since = record["seq"]
            if self.account.jobs.get(record["id"], {}).get("durable"):
                self.account.seen(record)

    def cancel(self, client):
        number = self.account.some_job(self.chance)
        if number is not None and self.chance.random() < 0.3:
            # Before the call: it may take effect although its answer is lost.
            self.account.jobs[number]["cancelled"] = True
            client.call("job.cancel", ids=[number])


def check(job, record, client):
    """That the job ended as it had to."""
    assert record["attempt"] <= 1, record
    if job["cancelled"] and record["outcome"] == "cancelled":
        return
    if job["kind"] == "program":
        assert record.get("exit_code") == job["code"], f"{job} {record}"
        assert record["outcome"] == ("failed" if job["code"] else "succeeded"), record
        assert client.output(record["id"]) == job["text"].encode(), record
    elif record["outcome"] == "lost":
        assert record["attempt"] == 1, f"lost, and never started: {record}"
    else:
        assert record["outcome"] == "succeeded" and record["result"] == job["result"], f"{job} {record}"


def raise_defects(visitors):
    for visitor in visitors:
        if visitor.defect:
            raise visitor.defect


def storm(daemon, visitors, chance):
    for _ in range(KILLS):
        # From the middle of its start to well into its work.
        time.sleep(seconds(chance.choice([chance.uniform(0, 0.1), chance.uniform(0, 0.5), chance.uniform(0, 0.8)])))
        assert daemon.process.poll() is None, f"stintd ended with {daemon.process.returncode}:\n{daemon.log.read_text()[-5000:]}"
        daemon.kill()
        raise_defects(visitors)
        daemon.launch()
    daemon.until_serving()


def test_every_acknowledged_job_is_accounted_for(start, chance):
    daemon = start(process__slots=16, process__runners=2, thread__threads=4)
    ran = daemon.home / "ran"
    account = Account()
    over = threading.Event()
    visitors = [Visitor(daemon, account, ran, chance.getrandbits(64), over) for _ in range(CLIENTS)]
    try:
        for visitor in visitors:
            visitor.start()
        storm(daemon, visitors, chance)
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
        # For whoever has to find out why this has failed.
        print("\n".join(line for line in daemon.log.read_text().splitlines() if " info " not in line))
    raise_defects(visitors)

    client = daemon.connect()
    durable = [number for number, job in account.jobs.items() if job["durable"]]
    assert len(durable) > KILLS, "too little was submitted to say anything"
    for first in range(0, len(durable), 5_000):
        for record in client.wait(*durable[first : first + 5_000], timeout=60):
            account.seen(record)
            check(account.jobs[record["id"]], record, client)
    outcomes = collections.Counter(account.record(number)["outcome"] for number in durable)
    print(f"{KILLS} kills, {len(account.jobs)} jobs, {len(durable)} of them durable: {dict(outcomes)}")
    runs = runs_noted(ran)
    assert_ran_once(ran)
    for number in durable:
        record = account.record(number)
        if account.jobs[number]["kind"] == "program" and record["outcome"] != "cancelled":
            assert runs[(number, record["attempt"])] == 1, f"not run, or unseen: {record}"
    stream = client.call("job.results", timeout=0)["stream"]
    streamed = client.rest(stream, timeout=60)
    assert [record["seq"] for record in streamed] == sorted(record["seq"] for record in streamed)
    missing = set(durable) - {record["id"] for record in streamed}
    assert not missing, f"not in the stream of results: {missing}"

