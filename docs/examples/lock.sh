#!/bin/bash
# Two withdrawals of 800 from 1000 with a lock: the second finds 200, and says so.
set -eu
directory=$(mktemp -d)
echo 1000 > "$directory/balance"
for _ in 1 2; do
  stint submit --cwd "$directory" --group "lock-$$" --lock account -c 'balance=$(cat balance); sleep 0.05
    if [ "$balance" -ge 800 ]; then echo $((balance - 800)) > balance; else echo "not enough money"; fi' > /dev/null
done
stint results --group "lock-$$" --output
stint lock account -- cat "$directory/balance"  # the same lock, held by this script
rm -r "$directory"
