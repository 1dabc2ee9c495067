#!/usr/bin/env python3
"""Jobs wait for an event, and all go on when it is set."""
import sys

import stint

start = stint.Event()
wait = "import stint, sys; stint.Event(sys.argv[1]).wait(); print('runner', sys.argv[2])"
with stint.Executor() as executor:
    runner = stint.Command([sys.executable, "-c", wait, start.name], text=True, env={**stint.os.environ})
    futures = [executor.submit(runner, number) for number in (1, 2, 3)]
    if not any(future.done() for future in futures):
        print("nobody runs yet")
    start.set()
    print(*sorted(future.result().stdout for future in futures), sep="", end="")
start.clear()
