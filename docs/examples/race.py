#!/usr/bin/env python3
"""Two withdrawals of 800 from 1000 without a lock: both read 1000, and the balance ends at -600."""
import pathlib
import tempfile

import stint

WITHDRAW = """balance=$(cat balance); touch read-$STINT_JOB_ID
while [ "$(ls read-* | wc -l)" -lt 2 ]; do sleep 0.01; done
if [ "$balance" -ge 800 ]; then exec 9< .; flock 9; echo $(($(cat balance) - 800)) > balance; fi"""

with tempfile.TemporaryDirectory() as directory, stint.Executor() as executor:
    balance = pathlib.Path(directory, "balance")
    balance.write_text("1000")
    withdraw = stint.Command(WITHDRAW, shell=True, cwd=directory, check=True)
    for future in [executor.submit(withdraw), executor.submit(withdraw)]:
        future.result()
    print(balance.read_text(), end="")
