#!/usr/bin/env python3
"""A thousand waits of 0.2 s on one thread, gathered by asyncio."""
import asyncio

import stint


async def main():
    async with stint.aio.Executor() as executor:
        sleep = stint.Task("sleep", executor="coroutine")
        done = await asyncio.gather(*(executor.submit(sleep, seconds=0.2) for _ in range(1000)))
        print(len(done))


asyncio.run(main())
