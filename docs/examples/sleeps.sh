#!/bin/sh
# Ten sleeps of 5 1 3 2 4 5 1 2 3 4 tenths of a second, each printed the moment its result arrives: in the order in
# which they end, or in the order in which they were submitted. With six slots, completion begins with the two of 1.
#
#   docs/examples/sleeps.sh [program|thread|coroutine] [completion|submission]
#
# STINT_SOCKET names the socket where it is not the personal default.
set -eu
kind=${1:-program} order=${2:-completion}
socket=${STINT_SOCKET:-${XDG_RUNTIME_DIR:-/tmp/stint-$(id -u)}${XDG_RUNTIME_DIR:+/stint}/stint.sock}
group=sleeps-$kind-$order-$$-$(date +%s)

jobs=
for tenths in 5 1 3 2 4 5 1 2 3 4; do
  case $kind in
    program) job='{"command":["sleep","0.'$tenths'"],"name":"'$tenths'"}' ;;
    thread | coroutine) job='{"task":"sleep","args":{"seconds":0.'$tenths'},"executor":"'$kind'","name":"'$tenths'"}' ;;
    *) echo "usage: $0 [program|thread|coroutine] [completion|submission]" >&2; exit 64 ;;
  esac
  jobs=${jobs:+$jobs,}$job
done

printf '%s\n' \
  '{"jsonrpc":"2.0","id":1,"method":"job.submit_many","params":{"group":"'"$group"'","jobs":['"$jobs"']}}' \
  '{"jsonrpc":"2.0","id":2,"method":"job.results","params":{"group":"'"$group"'","order":"'"$order"'"}}' |
  nc -N -U "$socket" |
  sed -nu 's/.*"method":"stream.item".*"name":"\([0-9]\)".*/\1/p'
