#!/bin/sh
# Three jobs and their results over one connection, with nothing but printf and nc: both requests go out in one write,
# the answers are JSON lines, and nc ends when the last result has come (half-close means "no more requests").
#
#   docs/examples/submit-and-results.sh      STINT_SOCKET names the socket where it is not the personal default
set -eu
socket=${STINT_SOCKET:-${XDG_RUNTIME_DIR:-/tmp/stint-$(id -u)}${XDG_RUNTIME_DIR:+/stint}/stint.sock}
group=example-$$-$(date +%s)
jobs='{"command":["echo","hello from a program"]},{"shell":"echo this one fails >&2; exit 3"},{"task":"digest","args":{"string":"abc"}}'

printf '%s\n' \
  '{"jsonrpc":"2.0","id":1,"method":"job.submit_many","params":{"group":"'"$group"'","jobs":['"$jobs"']}}' \
  '{"jsonrpc":"2.0","id":2,"method":"job.results","params":{"group":"'"$group"'","output":true}}' |
  nc -N -U "$socket"
