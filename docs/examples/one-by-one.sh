#!/bin/bash
# Submit all, then ask for one after the other.
set -eu
ids=$(for tenths in 5 1 3 2; do stint submit -c "sleep 0.$tenths; echo $tenths"; done)
for id in $ids; do
  stint wait "$id" > /dev/null
  stint output "$id"
done
