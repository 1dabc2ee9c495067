#!/usr/bin/env python3
"""A program that will not stop: after its grace it is killed, and so is what it has started in a session of its own."""
import os

import stint

with stint.Client() as client:
    job = client.submit(["sh", "-c", 'trap "" TERM; setsid sleep 300 & echo $!; while :; do sleep 0.02; done'], grace=0.1)
    child = next(client.follow(job)).decode().strip()
    client.cancel(job)
    record = client.wait([job]).finished[0]
    print(f"{record['outcome']} by signal {record['signal']}")
    print("its child lives" if os.path.exists(f"/proc/{child}") else "its child is gone")
