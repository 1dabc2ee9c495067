#!/usr/bin/env python3
"""A program that goes on until it is told to stop, and ends by itself; and one that watches a named event."""
import sys

import stint

with stint.Client() as client:
    job = client.submit(["sh", "-c", 'trap "echo last words; exit 0" TERM; while :; do echo tick; sleep 0.02; done'])
    next(client.follow(job))
    client.cancel(job)
    record = client.wait([job]).finished[0]
    print(client.output(job).decode().splitlines()[-1])
    print(record["outcome"])

    stop = stint.Event()
    watch = "import stint, sys\nwhile not stint.Event(sys.argv[1]).wait(0.02): pass\nprint('saw the event')"
    job = client.submit(stint.Command([sys.executable, "-c", watch, stop.name], env={**stint.os.environ}))
    stop.set()
    client.wait([job])
    print(client.output(job).decode(), end="")
    stop.clear()
