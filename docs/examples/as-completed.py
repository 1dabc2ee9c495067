#!/usr/bin/env python3
"""Each result the moment its job ends: concurrent.futures.as_completed."""
from concurrent.futures import as_completed

import stint

with stint.Executor() as executor:
    futures = [executor.submit(["sh", "-c", f"sleep 0.{tenths}; echo {tenths}"]) for tenths in (5, 1, 3)]
    for future in as_completed(futures):
        print(future.result().stdout.decode(), end="")
