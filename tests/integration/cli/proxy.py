"""A socket before the daemon's that breaks connections on demand: between two lines, inside one, or with an answer under way."""

import contextlib
import select
import socket
import threading

from harness import seconds, until


class Proxy:
    """Serves from the start. One thread moves the bytes; what the tests set is read under a lock."""

    def __init__(self, path, daemon):
        self.path = path
        self.daemon = daemon
        self.lock = threading.Lock()
        self.pairs = {}  # both ends of a connection, each to the other
        self.clients = set()
        self.received = {}  # client's end: bytes that it was sent
        self.accepted = 0
        self.cuts_left = 0
        self.cut_bytes = 0
        self.trigger = None
        self.listener = None
        self.closing = False
        self.open()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    # ---- what tests say
    def open(self):
        """Listens, again after `shut`."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(16)
        with self.lock:
            self.listener = listener

    def shut(self):
        """Breaks all connections and takes no more."""
        with self.lock:
            self.listener.close()
            self.listener = None
            self.path.unlink()
        self.cut()

    def cut(self):
        """Breaks all connections."""
        with self.lock:
            for client in list(self.clients):
                self._drop(client)

    def cut_each(self, bytes_sent, times):
        """Breaks a connection as soon as its client has been sent so many bytes; so many connections."""
        with self.lock:
            self.cut_bytes, self.cuts_left = bytes_sent, times

    def cut_at(self, text, forward):
        """Breaks the connection on which a client sends `text`, once: behind it (its answer is lost), or before the daemon has it."""
        with self.lock:
            self.trigger = (text.encode(), forward)

    def until_accepted(self, count):
        until(lambda: self.accepted >= count, what=f"connection {count}")

    def close(self):
        self.closing = True
        self.thread.join(seconds(20))
        assert not self.thread.is_alive()
        self.cut()
        if self.listener:
            self.listener.close()

    # ---- the thread
    def _run(self):
        while not self.closing:
            with self.lock:
                sockets = [*self.pairs, *([self.listener] if self.listener else [])]
            with contextlib.suppress(OSError, ValueError):  # one of them was closed meanwhile
                for ready in select.select(sockets, [], [], 0.02)[0]:
                    with self.lock:
                        self._accept() if ready is self.listener else self._move(ready)

    def _accept(self):
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.daemon))
        self.pairs.update({client: server, server: client})
        self.clients.add(client)
        self.received[client] = 0
        self.accepted += 1

    def _move(self, source):
        if source not in self.pairs:
            return
        target = self.pairs[source]
        try:
            data = source.recv(65536)
            if source in self.clients:
                self._to_daemon(source, target, data)
            else:
                self._to_client(target, data)
        except OSError:
            data = b""
        if not data and source in self.pairs:
            self._drop(source if source in self.clients else target)

    def _to_daemon(self, client, server, data):
        if self.trigger and self.trigger[0] in data:
            forward, self.trigger = self.trigger[1], None
            if forward:
                server.sendall(data)
                select.select([server], [], [], seconds(20))  # the daemon has answered, and nobody will read it
            self._drop(client)
        else:
            server.sendall(data)

    def _to_client(self, client, data):
        if self.cuts_left and self.received[client] + len(data) >= self.cut_bytes:
            self.cuts_left -= 1
            client.sendall(data[: self.cut_bytes - self.received[client]])
            self._drop(client)
        else:
            self.received[client] += len(data)
            client.sendall(data)

    def _drop(self, client):
        server = self.pairs.pop(client)
        del self.pairs[server]
        self.clients.discard(client)
        client.close()
        server.close()
