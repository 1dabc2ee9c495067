"""Fixtures: `daemon`, one for all tests of a file, and `start`, for tests that want one of their own."""

import pytest
from harness import Daemon


@pytest.fixture(scope="module")
def settings():
    """Settings of the file's daemon; a file overrides this fixture."""
    return {"process__slots": 6, "thread__threads": 6}


@pytest.fixture(scope="module")
def daemon(settings):
    running = Daemon(**settings)
    yield running
    running.stop()


@pytest.fixture
def client(daemon):
    with daemon.connect() as connection:
        yield connection


@pytest.fixture
def start():
    """Starts daemons; those that are still there at the end are stopped, and must stop well."""
    running = []

    def begin(**options):
        running.append(Daemon(**options))
        return running[-1]

    yield begin
    for one in running:
        one.stop()
