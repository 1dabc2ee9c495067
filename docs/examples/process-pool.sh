#!/bin/bash
# Tasks in processes of their own: two that are busy on the processor run side by side, and one that crashes takes nobody along.
set -eu
stint map --task spin --executor process --no-progress --format '{outcome}' ::: '{"seconds":0.2}' '{"seconds":0.2}'
stint run -q -c 'kill -SEGV $$' || echo "signal $(($? - 128))"
stint run --task echo --args '"still here"' | tr -d '"'
