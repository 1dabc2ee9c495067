#!/bin/bash
# Three jobs meet at a barrier, a channel and an event: none passes before the last arrives.
set -eu
arrived=arrived-$$ all=all-$$
stint channel open "$arrived" --capacity 3
for _ in 1 2 3; do
  stint submit --group "barrier-$$" --env PATH --env STINT_SOCKET -c \
    "echo arrives; stint channel put $arrived 1; stint event wait $all; echo passes" > /dev/null
done
for _ in 1 2 3; do stint channel get "$arrived" > /dev/null; done
stint wait --group "barrier-$$" --timeout 0.05s > /dev/null 2>&1 && echo "three wait: False" || echo "three wait: True"
stint event set "$all"  # we are the last
stint wait --group "barrier-$$" > /dev/null
echo "$(stint results --group "barrier-$$" --output | grep -c passes) passed"
stint channel remove "$arrived"
stint event clear "$all"
