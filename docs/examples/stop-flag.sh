#!/bin/bash
# A program that goes on until it is told to stop, and ends by itself; and one that watches a named event.
set -eu
id=$(stint submit -c 'trap "echo last words; exit 0" TERM; while :; do echo tick; sleep 0.02; done')
read -r _ < <(stint output -f "$id" 2> /dev/null)
stint cancel -q "$id" > /dev/null
stint wait "$id" > /dev/null || true
stint output "$id" 2> /dev/null | tail -n 1
stint show "$id" --format '{outcome}'

event=stop-$$
id=$(stint submit --env PATH --env STINT_SOCKET -c "until stint event wait $event --timeout 0.02s -q 2> /dev/null; do :; done; echo saw the event")
stint event set "$event"
stint wait "$id" > /dev/null
stint output "$id"
stint event clear "$event"
