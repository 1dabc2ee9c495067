#!/usr/bin/env python3
"""A large argument and a large result: they pass between the daemon and its hosts in shared memory."""
import stint

with stint.Executor() as executor:
    text = "x" * 6_000_000
    future = executor.submit(stint.Task("echo", executor="process"), text)
    assert future.result() == text
    print(f'"outcome":"{future.record["outcome"]}"')
