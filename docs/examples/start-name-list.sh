#!/bin/bash
# Start work, give it names, list what runs; each job knows its own id.
set -eu
group=names-$$
for name in first second third; do
  stint submit --group "$group" --name "$name" -c 'echo "I am $STINT_JOB_ID"; sleep 300' > /dev/null
done
until [ "$(stint list --group "$group" --state running -q | wc -l)" = 3 ]; do sleep 0.02; done
stint list --group "$group" --state running --format '{name}'
id=$(stint list --group "$group" --name first -q)
read -r line < <(stint output -f "$id")
[ "$line" = "I am $id" ] && echo "it knows its id"
stint cancel -q "$id" > /dev/null
stint wait "$id" > /dev/null || true
stint list --group "$group" --state running --format '{name}'
stint cancel -q --group "$group" > /dev/null
