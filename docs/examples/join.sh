#!/bin/bash
# Wait for work: with a limit, without, for what has ended already, and for what never was.
set -eu
id=$(stint submit -c 'sleep 0.3')
stint wait "$id" --timeout 0.05s > /dev/null 2>&1 || echo "not yet: $?"
stint wait "$id" > /dev/null && echo "it has ended"
stint wait "$id" > /dev/null && echo "and still has"
stint wait 999999999 2> /dev/null || echo "no such job: $?"
