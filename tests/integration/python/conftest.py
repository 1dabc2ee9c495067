"""Fixtures for the Python client: `place`, the file's daemon as stint.py finds it, and `link`, a Client of it."""

import pytest
import stint


@pytest.fixture
def place(daemon, monkeypatch):
    """The daemon's socket, named by STINT_SOCKET; the shared connections of the module end with the test."""
    monkeypatch.setenv("STINT_SOCKET", str(daemon.socket))
    yield str(daemon.socket)
    forget_shared()


def forget_shared():
    for client in list(stint._shared.values()):
        client.close()
    stint._shared.clear()


@pytest.fixture
def link(place):
    with stint.Client() as client:
        yield client
