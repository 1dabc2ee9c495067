"""Fixtures of the fault tests: `start` for daemons that may be dead in between, `chance` for what is drawn at random."""

import os
import random
import time

import pytest
from harness import Daemon


@pytest.fixture
def start():
    """Starts daemons; at the end each is started again if it is dead, told to cancel everything, and must stop well."""
    running = []

    def begin(**options):
        running.append(Daemon(**options))
        return running[-1]

    yield begin
    try:
        while running:
            running.pop(0).finish()
    finally:
        for one in running:
            one.destroy()


@pytest.fixture
def chance(capsys):
    """A generator of random numbers whose seed is printed; STINT_SEED gives the seed of a run that is to be seen again."""
    seed = int(os.environ.get("STINT_SEED") or time.time_ns() % 1_000_000_007)
    with capsys.disabled():
        print(f"\nseed: STINT_SEED={seed}")
    return random.Random(seed)
