#!/bin/bash
# One of three fails: the others are not stopped, and whoever waits for the first failure hears of it at once.
set -eu
group=failing-$$
stint submit --group "$group" -c 'sleep 0.3; echo fine' > /dev/null
bad=$(stint submit --group "$group" -c 'echo "no such file" >&2; exit 3')
stint submit --group "$group" -c 'sleep 0.3; echo fine' > /dev/null
stint wait "$bad" > /dev/null || echo "exit code $?"
stint output "$bad" 2>&1
stint wait --group "$group" > /dev/null || true
stint list --group "$group" --outcome succeeded -q | wc -l | sed 's/ //g; s/$/ succeeded/'
