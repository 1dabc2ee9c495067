#!/bin/bash
# What is cancelled before it has started never starts.
set -eu
group=full-$$
directory=$(mktemp -d)
seq 64 | sed 's/.*/{"command":["sleep","300"]}/' | stint submit --group "$group" --batch - > /dev/null  # more than there are slots
id=$(stint submit --cwd "$directory" -c 'touch started')
stint cancel -q "$id" > /dev/null
stint cancel -q --group "$group" > /dev/null
stint wait "$id" > /dev/null || true
stint show "$id" --format '{outcome}'
if [ -e "$directory/started" ]; then echo "it started"; else echo "it never started"; fi
rm -r "$directory"
