#!/usr/bin/env python3
"""Tasks in processes of their own: two that are busy on the processor run side by side, and one that crashes takes nobody along."""
import stint

with stint.Executor() as executor:
    spin = stint.Task("spin", executor="process")
    for future in [executor.submit(spin, seconds=0.2), executor.submit(spin, seconds=0.2)]:
        future.result()
        print("succeeded")
    print("signal", -executor.submit(stint.Command("kill -SEGV $$", shell=True)).result().returncode)
    print(executor.submit(stint.Task("echo"), "still here").result())
