#!/bin/bash
# Each result the moment its job ends. (sleeps.sh does the same with nothing but nc.)
set -eu
stint map --no-progress -c 'sleep 0.$STINT_ITEM; echo $STINT_ITEM' ::: 5 1 3
