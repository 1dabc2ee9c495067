#!/usr/bin/env python3
"""Health checks of many services at once, without a process for each, and a webhook about those that are down."""
import threading
from concurrent.futures import as_completed
from http.server import BaseHTTPRequestHandler, HTTPServer

import stint


class Service(BaseHTTPRequestHandler):
    """The services, and who is told: /mail is down; prints what is posted to it."""

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.answer(503 if self.path == "/mail" else 200)

    def do_POST(self):
        print("told:", self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(204)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever).start()
url = f"http://127.0.0.1:{server.server_port}"

with stint.Executor() as executor:
    checks = {executor.submit(stint.Task("http"), f"{url}/{name}"): name for name in ("shop", "mail", "news")}
    for check in as_completed(checks):
        if error := check.exception():
            print(f"{checks[check]}: {error.record['error']['message']}", flush=True)
            # Three attempts, should whoever is told not be there.
            hook = stint.Task("http", retry={"max": 2})
            executor.submit(hook, url=f"{url}/hook", json={"down": checks[check]}, timeout=10).result()
server.shutdown()
