#!/bin/bash
# Health checks of many services at once, without a process for each, and a webhook about those that are down.
set -eu
# The services, and who is told: a small server whose /mail is down, and which prints what is posted to it.
server() {
  exec python3 -u -c '
from http.server import BaseHTTPRequestHandler, HTTPServer
class Service(BaseHTTPRequestHandler):
    def answer(self, status):
        self.send_response(status); self.send_header("Content-Length", "0"); self.end_headers()
    def do_GET(self): self.answer(503 if self.path == "/mail" else 200)
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode()); self.answer(204)
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Service)
print(server.server_port)
server.serve_forever()'
}
coproc services { server; }
trap 'kill "$services_PID"' EXIT
read -r port <&"${services[0]}"
url=http://127.0.0.1:$port

group=checks-$$
stint map --task http --group "$group" -q ::: "$url/shop" "$url/mail" "$url/news" > /dev/null || true
stint list --group "$group" --outcome failed --format '{item} {error.message}' | while read -r item message; do
  echo "${item##*/}: $message"
  # Three attempts, should whoever is told not be there.
  stint run --task http --retry 2 --args "{\"url\": \"$url/hook\", \"json\": {\"down\": \"${item##*/}\"}, \"timeout\": 10}" > /dev/null
done
read -r told <&"${services[0]}"
echo "told: $told"
