#!/usr/bin/env python3
"""What is cancelled before it has started never starts: Future.cancel."""
import stint

with stint.Executor() as executor:
    blockers = [executor.submit(["sleep", "300"]) for _ in range(64)]  # more than there are slots
    last = executor.submit(["touch", "/nowhere/started"])
    print("cancelled" if last.cancel() else "too late")
    print("it never started" if last.cancelled() else "it started")
    for future in blockers:
        future.stop()
