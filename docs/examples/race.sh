#!/bin/bash
# Two withdrawals of 800 from 1000 without a lock: both read 1000, and the balance ends at -600.
set -eu
directory=$(mktemp -d)
echo 1000 > "$directory/balance"
for _ in 1 2; do
  stint submit --cwd "$directory" --group "race-$$" -c 'balance=$(cat balance); touch read-$STINT_JOB_ID
    while [ "$(ls read-* | wc -l)" -lt 2 ]; do sleep 0.01; done
    if [ "$balance" -ge 800 ]; then exec 9< .; flock 9; echo $(($(cat balance) - 800)) > balance; fi' > /dev/null
done
stint wait --group "race-$$" > /dev/null
cat "$directory/balance"
rm -r "$directory"
