#!/usr/bin/env python3
"""One task, three places to run it, one result."""
import stint

with stint.Executor() as executor:
    for where in ("thread", "process", "coroutine"):
        print(executor.submit(stint.Task("digest", executor=where), {"string": "abc"}).result()["sha256"][:12])
