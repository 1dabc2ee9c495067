#!/bin/bash
# Jobs wait for an event, and all go on when it is set.
set -eu
event=start-$$
for number in 1 2 3; do
  stint submit --group "event-$$" --env PATH --env STINT_SOCKET -c "stint event wait $event; echo runner $number" > /dev/null
done
stint wait --group "event-$$" --timeout 0.1s > /dev/null 2>&1 || echo "nobody runs yet"
stint event set "$event"
stint wait --group "event-$$" > /dev/null
stint results --group "event-$$" --output | sort
stint event clear "$event"
