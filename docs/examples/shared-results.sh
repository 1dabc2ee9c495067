#!/bin/bash
# Ten jobs that wait 0.3 s each, together: all ten results are gathered, and none is lost.
set -eu
stint map --task sleep --executor coroutine --no-progress --format '{outcome}' ::: '{"seconds":0.3}' '{"seconds":0.3}' '{"seconds":0.3}' \
  '{"seconds":0.3}' '{"seconds":0.3}' '{"seconds":0.3}' '{"seconds":0.3}' '{"seconds":0.3}' '{"seconds":0.3}' '{"seconds":0.3}' |
  sort | uniq -c | sed 's/^ *//'
