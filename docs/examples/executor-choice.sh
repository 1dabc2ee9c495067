#!/bin/bash
# One task, three places to run it, one result.
set -eu
for executor in thread process coroutine; do
  stint run --task digest --executor "$executor" --args '{"string":"abc"}' | grep -o 'ba7816bf8f01' | head -n 1
done
