#!/usr/bin/env python3
"""Ten jobs that wait 0.3 s each, together: all ten results are gathered, and none is lost."""
from concurrent.futures import as_completed

import stint

with stint.Executor() as executor:
    sleep = stint.Task("sleep", executor="coroutine")
    futures = [executor.submit(sleep, seconds=0.3) for _ in range(10)]
    results = [future.exception() for future in as_completed(futures)]
print(results.count(None), "succeeded")
