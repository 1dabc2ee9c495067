#!/usr/bin/env python3
"""A thousand coroutines, at most fifty of them inside."""
import stint

fifty = stint.Semaphore(value=50)
client = stint.Client()
jobs = client.submit_many(template={"task": "sleep", "executor": "coroutine", "semaphores": {fifty.name: 1}},
                          items=[{"seconds": 0.005}] * 1000)
moments = []
for record in client.results(group=jobs.group):
    moments += [(record["started_at"], 1), (record["finished_at"], -1)]
inside = most = 0
for _, change in sorted(moments):
    inside += change
    most = max(most, inside)
print(len(moments) // 2, "have ended,", "at most" if most <= 50 else "more than", "50 inside")
