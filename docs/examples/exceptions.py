#!/usr/bin/env python3
"""One of three fails: the others are not stopped, and whoever waits for the first failure hears of it at once."""
from concurrent.futures import FIRST_EXCEPTION, wait
from subprocess import CalledProcessError

import stint

with stint.Executor() as executor:
    fine = stint.Command(["sh", "-c", "sleep 0.3; echo fine"], check=True)
    bad = stint.Command(["sh", "-c", 'echo "no such file" >&2; exit 3'], check=True, text=True)
    futures = [executor.submit(fine), executor.submit(bad), executor.submit(fine)]
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    error = futures[1].exception()
    assert isinstance(error, CalledProcessError) and futures[1] in done
    print("exit code", error.returncode)
    print(error.stderr, end="")
    wait(futures)
    print(sum(future.exception() is None for future in futures), "succeeded")
