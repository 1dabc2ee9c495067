#!/bin/bash
# A large argument and a large result: they pass between the daemon and its hosts in shared memory.
set -eu
head -c 6000000 /dev/zero | tr '\0' x | sed 's/^/"/; s/$/"/' > "/tmp/large-$$"
{ printf '{"jsonrpc":"2.0","id":1,"method":"job.run","params":{"job":{"task":"echo","executor":"process","args":'
  cat "/tmp/large-$$"
  printf '}}}\n'; } | nc -N -U "$STINT_SOCKET" | grep -o '"outcome":"[a-z]*"'
rm "/tmp/large-$$"
