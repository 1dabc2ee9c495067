"""Fixtures: a daemon for all tests of a file, and `cli`, the stint program pointed at it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from program import Cli  # noqa: E402
from harness import Daemon  # noqa: E402


@pytest.fixture(scope="module")
def daemon():
    running = Daemon(process__slots=6, thread__threads=6)
    yield running
    running.stop()


@pytest.fixture
def cli(daemon, tmp_path):
    program = Cli(tmp_path, STINT_SOCKET=str(daemon.socket))
    yield program
    program.end()


@pytest.fixture
def client(daemon):
    with daemon.connect() as connection:
        yield connection


@pytest.fixture
def start():
    """Starts daemons of a test's own; those that are still there at the end must stop well."""
    running = []

    def begin(**options):
        running.append(Daemon(**options))
        return running[-1]

    yield begin
    for one in running:
        one.stop()
