#!/bin/bash
# Twenty jobs, never more than two at once; a script takes a permit too.
set -eu
directory=$(mktemp -d)
gpu=gpu-$$
stint sem set "$gpu" 2
for _ in $(seq 20); do
  stint submit --cwd "$directory" --group "semaphore-$$" --semaphore "$gpu" -c \
    'touch in-$STINT_JOB_ID; sleep 0.02; ls | grep -c ^in-; rm in-$STINT_JOB_ID' > /dev/null
done
stint sem acquire "$gpu" -- true  # in line with the jobs
echo "$(stint results --group "semaphore-$$" --output | sort -n | tail -1) at most"
echo "$(stint list --group "semaphore-$$" --format '{outcome}' | grep -c succeeded) succeeded"
rm -r "$directory"
