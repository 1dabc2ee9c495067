"""Holders of locks, permits and items, killed with SIGKILL at every moment: nothing stays held, nothing is held twice."""

import os
import subprocess
import sys
import time

import pytest
from harness import seconds, until

KILLS = 300 if os.environ.get("STINT_LONG") else 40

# Takes the lock again and again, and notes each token while it holds it.
HOLDER = """
import json, os, random, socket, sys, time
peer = socket.socket(socket.AF_UNIX); peer.connect(sys.argv[1]); lines = peer.makefile()
notes = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def call(method, **params):
    peer.sendall((json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\\n").encode())
    return json.loads(lines.readline())["result"]
while True:
    lease = call("lock.acquire", name="killed")
    os.write(notes, b"%d\\n" % lease["token"])
    time.sleep(random.random() * 0.004)
    call("lock.release", lease=lease["lease"])
"""


def test_killed_holders_of_a_lock(start, tmp_path, chance):
    daemon = start()
    notes = tmp_path / "tokens"

    def begin():
        return subprocess.Popen([sys.executable, "-c", HOLDER, str(daemon.socket), str(notes)])

    holders = [begin() for _ in range(4)]
    try:
        until(notes.exists)
        for _ in range(KILLS):
            # On a busy machine, too, the lock changes hands between two kills.
            size = notes.stat().st_size
            until(lambda size=size: notes.stat().st_size > size, what="another token")
            time.sleep(chance.random() * 0.02)  # the moment is the test's to choose
            victim = chance.randrange(len(holders))
            holders[victim].kill()
            holders[victim].wait()
            holders[victim] = begin()
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
    client = daemon.connect()
    until(lambda: client.call("lock.list")["locks"] == [], what="the end of all leases")
    tokens = [int(line) for line in notes.read_text().split()]
    assert tokens == sorted(set(tokens)) and len(tokens) > KILLS, "each was alone, and each token is larger than those before"
    assert client.call("lock.acquire", name="killed", timeout=0)["token"] > tokens[-1]


@pytest.mark.parametrize("moment", range(6))
def test_a_daemon_that_is_killed_gives_no_token_twice(start, moment):
    """Its leases are held over the restart, and then given back where nobody resumes them."""
    daemon = start(lease__reclaim=0.3)
    client = daemon.connect()
    tokens = [client.call("lock.acquire", name=str(number))["token"] for number in range(moment)]
    for number in range(20):
        client.post("lock.acquire", name=f"in flight {number}")
    daemon.kill()
    told = []
    while (line := client.read_line()) is not None:
        told.append(line["result"]["token"])
    daemon.launch()
    daemon.until_serving()
    client = daemon.connect()
    held = {holder["lease"] for row in client.call("lock.list")["locks"] for holder in row["holders"]}
    assert set(tokens) | set(told) <= held, "whoever was told has it"
    assert client.call("lock.acquire", name="new")["token"] > max([0, *tokens, *told])
    until(lambda: len(client.call("lock.list")["locks"]) == 1, seconds(5), "the leases that nobody has resumed")
