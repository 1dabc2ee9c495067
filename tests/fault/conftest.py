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


SEED = int(os.environ.get("STINT_SEED") or time.time_ns() % 1_000_000_007)


def pytest_sessionstart(session):
    # Before all tests and past the capture: it must stand in the log of a run that was killed, too.
    session.config.get_terminal_writer().line(f"seed: STINT_SEED={SEED}")


@pytest.fixture
def chance(request):
    """A generator of random numbers for one test. STINT_SEED gives the seed of a run that is to be seen again."""
    return random.Random(f"{SEED} {request.node.name}")
