#!/usr/bin/env python3
"""Start work, give it names, list what runs; each job knows its own id."""
import stint

with stint.Client() as client:
    group = f"names-{stint.uuid.uuid4().hex}"
    jobs = [client.submit(["sh", "-c", 'echo "I am $STINT_JOB_ID"; sleep 300'], name=name, group=group)
            for name in ("first", "second", "third")]
    for job in jobs:
        assert next(client.follow(job)) == f"I am {job}\n".encode()  # it has begun
    print(*[record["name"] for record in client.list(group=group, state="running")], sep="\n")
    print("it knows its id")
    client.cancel(jobs[0])
    client.wait(jobs[:1])
    print(*[record["name"] for record in client.list(group=group, state="running")], sep="\n")
    client.cancel(group=group)
