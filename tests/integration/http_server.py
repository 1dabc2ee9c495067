"""A server for the task http on 127.0.0.1: what it does is in the path. Standard library only, raw bytes where that is the point.

/echo answers with the request as JSON; /status/N, /body/N (N bytes), /chunked/N, /unsized/N (ended by closing), /binary,
/header/N (a header of N bytes), /headers/N, /extension/N (a chunk with one), /interim (a 103 and a 100 before the answer), /set (a header that stands twice),
/redirect; /cut, /nothing and /rubbish break off or talk nonsense, /refuse answers without reading the body, /silent never
answers, /drip answers a byte now and then for ever, /meet/N answers when N requests are inside.
"""

import asyncio
import contextlib
import json
import queue
import socket
import ssl
import threading


class HttpServer:
    """`url` of the server; `seen` has a path when its request is there, `gone` when a client that got no answer has left."""

    def __init__(self, certificate=None, key=None):
        self.seen = queue.Queue()
        self.gone = queue.Queue()
        self._meeting = []
        self._loop = asyncio.new_event_loop()
        self._tasks = set()
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self._socket.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket, ssl=context))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self):
        async def end():
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._socket.close()
        self._loop.close()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await self._converse(reader, writer)
                await writer.drain()
            finally:
                writer.close()
        self._tasks.discard(task)

    async def _converse(self, reader, writer):
        first = await reader.readexactly(1)
        if first == b"\x16":  # a hello of TLS
            return answer(writer, b"speak plainly", status="400 Bad Request")
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = [line.split(": ", 1) for line in head[1:] if line]
        self.seen.put(path)
        _, name, *rest = path.split("?")[0].split("/")
        if name == "refuse":
            return answer(writer, b"too much", status="413 Content Too Large")
        length = next((int(value) for key, value in headers if key.lower() == "content-length"), 0)
        body = await reader.readexactly(length)
        number = int(rest[0]) if rest else 0
        if name == "echo":
            told = {"method": method, "path": path, "headers": dict(headers), "body": body.decode("latin-1")}
            answer(writer, json.dumps(told).encode(), headers=["Content-Type: application/json"], method=method)
        elif name == "status":
            answer(writer, b"its body", status=f"{number} Something")
        elif name == "body":
            answer(writer, b"x" * number, method=method)
        elif name == "binary":
            answer(writer, b"\x00\xff\xfe")
        elif name == "header":
            rest = len("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Long: \r\n\r\n")
            answer(writer, b"", headers=["X-Long: " + "x" * (number - rest)])
        elif name == "headers":
            answer(writer, b"", headers=[f"X-{one}: x" for one in range(number)])
        elif name == "extension":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;e=" + b"x" * number + b"\r\ny\r\n0\r\n\r\n")
        elif name == "set":
            answer(writer, b"", headers=["X-Set: a", "x-set: b", "X-Latin: \xe9"])
        elif name == "redirect":
            answer(writer, b"", status="302 Found", headers=["Location: /elsewhere"])
        elif name == "interim":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            answer(writer, b"after all")
        elif name == "chunked":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for begin in range(0, number, 1000):
                part = min(1000, number - begin)
                writer.write(f"{part:x};extension=1\r\n".encode() + b"c" * part + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        elif name == "unsized":
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"u" * number)
        elif name == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        elif name == "rubbish":
            writer.write(b"220 mail.example.com ESMTP\r\n")
        elif name == "meet":
            await self._meet(number)
            answer(writer, b"met")
        elif name in ("silent", "drip"):
            await self._never_answer(reader, writer, name == "drip")

    async def _meet(self, number):
        self._meeting.append(self._loop.create_future())
        mine = self._meeting[-1]
        if len(self._meeting) == number:
            for one in self._meeting:
                one.set_result(None)
            self._meeting = []
        await mine

    async def _never_answer(self, reader, writer, drips):
        if drips:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        left = asyncio.ensure_future(reader.read(1))
        while not left.done():
            if drips:
                writer.write(b"1\r\nd\r\n")
            await asyncio.wait([left], timeout=0.02 if drips else None)
        self.gone.put(True)


def answer(writer, body, status="200 OK", headers=(), method="GET"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if method == "HEAD" else body))
