#!/bin/bash
# Long-lived workers that read a message a line and write an answer a line: one that dies costs its own message alone.
set -eu
stint pool set --size 2 squares -- python3 -uc '
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["args"] < 0:
        os.abort()
    print(json.dumps({"id": message["id"], "result": message["args"] ** 2}))'
stint map --pool squares --keep-order --no-progress ::: 1 2 3
id=$(stint submit --pool squares -- -1)
stint wait "$id" >/dev/null || stint show "$id" --format '{outcome}: {error.kind}'
stint run --pool squares --args 4
stint pool remove squares
