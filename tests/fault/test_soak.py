"""A million jobs through one daemon that keeps few of them: memory, descriptors and the store's log stay flat.

The short form is the same with fewer jobs; what it allows to grow is for a warm-up that is over before it measures.
"""

import os
from pathlib import Path

from account import long_or_short
from harness import seconds

JOBS, BATCH, KEPT = long_or_short((1_000_000, 2_000, 5_000), (10_000, 500, 2_000))
MIB = 1 << 20


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def measure(daemon):
    pids = [daemon.pid, *daemon.worker_pids(), *daemon.worker_pids("host")]
    return {
        "resident": sum(resident(pid) for pid in pids),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        "threads": sum(threads(pid) for pid in pids),
        "log": (daemon.state / "stint.db-wal").stat().st_size,
        "store": (daemon.state / "stint.db").stat().st_size,
        "outputs": len(os.listdir(daemon.state / "out")),
        "processes": len(daemon.processes()),
    }


def run_batch(client, executor):
    answer = client.call("job.submit_many", template={"task": "echo", "executor": executor}, items=list(range(BATCH)))
    waited = client.call("job.wait", ids=[answer["first"] + BATCH - 1], timeout=300)
    assert not waited["pending"]
    stream = client.call("job.results", group=answer["group"])["stream"]
    assert len({record["id"] for record in client.rest(stream, timeout=300)}) == BATCH


def test_a_million_jobs_leave_nothing(start):
    daemon = start(retention__jobs=KEPT, process__slots=4)
    # A connection a batch: sessions must leave nothing either.
    measured = []
    for batch in range(JOBS // BATCH):
        with daemon.connect(timeout=300) as client:
            run_batch(client, ("coroutine", "thread")[batch % 2])
            if batch % 5 == 0:
                shell = client.call("job.submit_many", jobs=[{"shell": "head -c 100000 /dev/zero"}] * 10)
                client.wait(*range(shell["first"], shell["first"] + 10))
            assert client.call("job.run", job={"task": "echo", "args": 1, "executor": "process"})["outcome"] == "succeeded"
        daemon.clients.clear()
        measured.append(measure(daemon))
    print(*measured[:: max(1, len(measured) // 20)], sep="\n")
    # After a third all caches are warm and retention has been at work for long.
    early, late = measured[len(measured) // 3], measured[-1]
    if seconds(1) == 1:  # sanitizers keep what was freed
        assert late["resident"] < early["resident"] + 16 * MIB, (early, late)
    assert late["descriptors"] <= early["descriptors"] + 4, (early, late)
    assert late["threads"] == early["threads"], (early, late)
    assert late["processes"] == early["processes"], (early, late)
    assert late["log"] <= 64 * MIB, (early, late)
    assert late["store"] < 2 * early["store"] + 16 * MIB, (early, late)
    assert late["outputs"] <= KEPT, (early, late)
