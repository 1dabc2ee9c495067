#!/bin/bash
# A daemon job does not keep a draining daemon: while the writer runs both go on; when it ends the reader is stopped, and the
# drain ends, as joining it does. (Without a drain the reader would just go on.)
set -eu
directory=$(mktemp -d)
reader=$(stint submit --daemon-job -c 'while :; do sleep 0.02; done')
writer=$(stint submit --cwd "$directory" -c 'while ! [ -e end ]; do sleep 0.02; done; echo written')
until [ "$(stint list --state running -q | grep -c -x -e "$reader" -e "$writer")" = 2 ]; do sleep 0.02; done
stint drain > /dev/null 2>&1 &
touch "$directory/end"
stint wait "$reader" > /dev/null || true
wait $!
stint output "$writer"
stint show "$reader" --format 'the reader: {outcome}'
stint undrain
rm -r "$directory"
