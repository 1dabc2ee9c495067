#!/usr/bin/env python3
"""Wait for work: with a limit, without, for what has ended already, and for what never was."""
import stint

with stint.Client() as client:
    job = client.submit(["sleep", "0.3"])
    if client.wait([job], timeout=0.05).pending == [job]:
        print("not yet: 75")
    client.wait([job])
    print("it has ended")
    client.wait([job])
    print("and still has")
    try:
        client.wait([999999999])
    except stint.NotFound:
        print("no such job: 66")
