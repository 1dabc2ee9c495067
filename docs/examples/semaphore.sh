#!/bin/bash
# Twenty jobs, never more than two at once; a script takes a permit too.
set -eu
directory=$(mktemp -d)
gpu=gpu-$$
stint sem set "$gpu" 2
most=$(stint map --cwd "$directory" --group "semaphore-$$" --semaphore "$gpu" \
  -c 'touch in-$STINT_ITEM; sleep 0.05; ls | grep -c ^in-; rm in-$STINT_ITEM' ::: $(seq 20) | sort -n | tail -1)
stint sem acquire "$gpu" -- true  # in line with the jobs of others
echo "$most at most"
echo "$(stint list --group "semaphore-$$" --format '{outcome}' | grep -c succeeded) succeeded"
rm -r "$directory"
