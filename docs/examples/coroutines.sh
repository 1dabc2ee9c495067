#!/bin/bash
# A thousand waits of 0.2 s on one thread, in one write; nc ends when the last has ended.
set -eu
group=waits-$$
items=$(seq 1000 | sed 's/.*/{"seconds":0.2}/' | paste -sd,)
printf '%s\n' \
  '{"jsonrpc":"2.0","id":1,"method":"job.submit_many","params":{"group":"'"$group"'","template":{"task":"sleep","executor":"coroutine"},"items":['"$items"']}}' \
  '{"jsonrpc":"2.0","id":2,"method":"job.results","params":{"group":"'"$group"'","fields":["outcome"]}}' |
  nc -N -U "$STINT_SOCKET" | grep -c '"outcome":"succeeded"'
