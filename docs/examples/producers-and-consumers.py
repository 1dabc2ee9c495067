#!/usr/bin/env python3
"""Ten materials, three producers, two consumers, two bounded channels: every material is made once and used once."""
import threading

import stint

raw, made = stint.Queue(maxsize=10), stint.Queue(maxsize=2)
used = []


def produce():
    for item in raw:
        made.put(f"product {item}")


def consume():
    for item in made:
        used.append(item)


for number in range(10):
    raw.put(number)
raw.close()
# Threads here; any process that knows the names may take part: stint.Queue(raw.name).
producers = [threading.Thread(target=produce) for _ in range(3)]
consumers = [threading.Thread(target=consume) for _ in range(2)]
for thread in producers + consumers:
    thread.start()
for thread in producers:
    thread.join()
made.close()
for thread in consumers:
    thread.join()
print(*sorted(used), sep="\n")
raw.remove()
made.remove()
