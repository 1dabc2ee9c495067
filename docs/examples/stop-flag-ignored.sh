#!/bin/bash
# A program that will not stop: after its grace it is killed, and so is what it has started in a session of its own.
set -eu
id=$(stint submit --grace 0.1s -c 'trap "" TERM; setsid sleep 300 & echo $!; while :; do sleep 0.02; done')
read -r child < <(stint output -f "$id")
stint cancel -q "$id" > /dev/null
stint wait "$id" > /dev/null || true
stint show "$id" --format '{outcome} by signal {signal}'
if [ -d "/proc/$child" ]; then echo "its child lives"; else echo "its child is gone"; fi
