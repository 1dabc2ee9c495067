#!/bin/bash
# A thousand coroutines, at most fifty of them inside.
set -eu
fifty=fifty-$$
stint sem set "$fifty" 50
seq 1000 | sed 's/.*/{"task":"sleep","args":{"seconds":0.005},"executor":"coroutine","semaphores":{"'"$fifty"'":1}}/' |
  stint submit --batch - --group "limit-$$" > /dev/null
stint results --group "limit-$$" --jsonl | grep -o '"\(started\|finished\)_at":[0-9.]*' | tr -d '"' | tr ':' ' ' |
  sort -k 2n -k 1 |  # at the same moment, one that ends goes first
  awk '/started/ { if (++inside > most) most = inside } /finished/ { --inside; ++ended }
       END { print ended, "have ended,", (most <= 50 ? "at most" : "more than"), "50 inside" }'
