#!/usr/bin/env python3
"""Two withdrawals of 800 from 1000 with a lock: the second finds 200, and says so."""
import pathlib
import tempfile

import stint

WITHDRAW = """balance=$(cat balance); sleep 0.05
if [ "$balance" -ge 800 ]; then echo $((balance - 800)) > balance; else echo "not enough money"; fi"""

with tempfile.TemporaryDirectory() as directory, stint.Executor() as executor:
    balance = pathlib.Path(directory, "balance")
    balance.write_text("1000")
    withdraw = stint.Command(WITHDRAW, shell=True, cwd=directory, check=True, text=True, locks=["account"])
    for future in [executor.submit(withdraw), executor.submit(withdraw)]:
        print(future.result().stdout, end="")
    with stint.Lock("account"):  # the same lock, held by this process
        print(balance.read_text(), end="")
