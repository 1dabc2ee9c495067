"""Bookkeeping of the fault tests: what clients were promised, what programs did, and whether the two agree.

A program that is under account notes "id attempt" in a file before anything else (`noting`), so that a second run shows.
`Account` is told every acknowledgement and every finished record that any client saw; it asserts at once where an id or a
seq is not larger than before or an announced record has changed. It may be called from many threads.
"""

import collections
import os
import shlex
import threading

LONG = bool(os.environ.get("STINT_LONG"))


def long_or_short(long, short):
    """How much of it: `tools/test --long` sets STINT_LONG."""
    return long if LONG else short


def noting(ran, script):
    """A shell script that first notes its run; one write with O_APPEND."""
    return f'echo "$STINT_JOB_ID $STINT_ATTEMPT" >>{shlex.quote(str(ran))}\n{script}'


def runs_noted(ran):
    """How often each (id, attempt) ran."""
    if not ran.exists():
        return collections.Counter()
    return collections.Counter(tuple(int(word) for word in line.split()) for line in ran.read_text().splitlines())


def assert_ran_once(ran):
    twice = {run: count for run, count in runs_noted(ran).items() if count > 1}
    assert not twice, f"(id, attempt) that ran more than once: {twice}"


class Account:
    def __init__(self):
        self._lock = threading.Lock()
        self._records = {}  # as first seen finished
        self._by_seq = {}
        self._seq_before = {}  # the largest seq that anybody had seen when the job was submitted
        self.jobs = {}  # acknowledged: id -> what it is
        self.id_seen = 0
        self.seq_seen = 0

    def before_submit(self):
        """What the next submit is measured against."""
        with self._lock:
            return self.id_seen, self.seq_seen

    def acknowledged(self, number, job, before):
        with self._lock:
            id_before, seq_before = before
            assert number > id_before, f"id {number} was given after {id_before} had been seen"
            assert number not in self.jobs, f"id {number} was given twice"
            self.jobs[number] = job
            self._seq_before[number] = seq_before
            self.id_seen = max(self.id_seen, number)

    def known_as_finished(self, number):
        """Some client has read it as finished: whoever asks from now on must too."""
        with self._lock:
            return number in self._records

    def seen(self, record, known_before=True):
        """A record that some client has read; `known_before`: what known_as_finished said before it was asked for."""
        if record["state"] != "finished":
            with self._lock:
                finished = self._records.get(record["id"])
            assert finished is None or not known_before, f"was finished: {finished}, is {record}"
            return
        record = {key: value for key, value in record.items() if key not in ("stdout", "stderr")} | {
            of: {key: record[of].get(key) for key in ("bytes", "truncated")} for of in ("stdout", "stderr") if record.get(of)
        }
        with self._lock:
            number, seq = record["id"], record["seq"]
            first = self._records.setdefault(number, record)
            assert first == record, f"an announced result has changed:\n{first}\n{record}"
            assert self._by_seq.setdefault(seq, number) == number, f"seq {seq} is of {self._by_seq[seq]} and {number}"
            assert seq > self._seq_before.get(number, 0), f"submitted after seq {self._seq_before[number]} was seen: {record}"
            self.seq_seen = max(self.seq_seen, seq)

    def record(self, number):
        return self._records.get(number)

    def some_job(self, chance):
        """The id of an acknowledged job, rather a new one; None where there is none."""
        with self._lock:
            if not self.jobs:
                return None
            newest = list(self.jobs)[-50:] if chance.random() < 0.8 else list(self.jobs)
            return chance.choice(newest)
