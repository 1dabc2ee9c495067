#!/usr/bin/env python3
"""Submit all, then ask for one after the other: Future.result."""
import stint

with stint.Executor() as executor:
    futures = [executor.submit(["sh", "-c", f"sleep 0.{tenths}; echo {tenths}"]) for tenths in (5, 1, 3, 2)]
    for future in futures:
        print(future.result().stdout.decode(), end="")
