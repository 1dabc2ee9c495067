#!/usr/bin/env python3
"""Ten sleeps of different lengths, results in the order of submission: Executor.map."""
import stint

with stint.Executor() as executor:
    sleep = stint.Command(["sh", "-c", "sleep 0.$0; echo $0"], text=True)
    for done in executor.map(sleep, [5, 1, 3, 2, 4, 5, 1, 2, 3, 4]):
        print(done.stdout, end="")
