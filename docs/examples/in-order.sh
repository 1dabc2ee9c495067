#!/bin/bash
# Ten sleeps of different lengths, results in the order of submission.
set -eu
stint map -k --no-progress -c 'sleep 0.$STINT_ITEM; echo $STINT_ITEM' ::: 5 1 3 2 4 5 1 2 3 4
