#!/bin/bash
# Ten materials, three producers, two consumers, two bounded channels: every material is made once and used once.
set -eu
raw=raw-$$ made=made-$$
stint channel open "$raw" --capacity 10
stint channel open "$made" --capacity 2
for number in 0 1 2 3 4 5 6 7 8 9; do stint channel put "$raw" "$number"; done
stint channel close "$raw"

run() { stint submit --group "$1-$$" --env PATH --env STINT_SOCKET -c "$2" > /dev/null; }
for _ in 1 2 3; do run producers "while item=\$(stint channel get $raw -q); do stint channel put $made \"product \$item\"; done"; done
for _ in 1 2; do run consumers "while item=\$(stint channel get $made -q); do echo \"\$item\"; done"; done
stint wait --group "producers-$$" > /dev/null
stint channel close "$made"
stint wait --group "consumers-$$" > /dev/null
stint results --group "consumers-$$" --output | sort
stint channel remove "$raw"
stint channel remove "$made"
