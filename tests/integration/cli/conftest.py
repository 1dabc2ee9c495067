"""The fixture `cli`: the stint program, pointed at the file's daemon. The daemon's fixtures are those of the folder above."""

import pytest
from program import Cli


@pytest.fixture
def cli(daemon, tmp_path):
    program = Cli(tmp_path, STINT_SOCKET=str(daemon.socket))
    yield program
    program.end()
