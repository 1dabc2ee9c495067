#!/usr/bin/env python3
"""No-op work from one Python program, gathered as it completes: stint.Executor beside the pools of the standard library.

    row_python.py --socket PATH [--noops N] [--rounds N]       tools/bench python runs it

All take turns, and the medians of their rates are compared. Each contestant is given its work and hands back a result an item.
"""

import argparse
import asyncio
import concurrent.futures
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client" / "python"))

import stint  # noqa: E402


def nothing(value):
    return value


def gathered(executor, function, count):
    begun = time.perf_counter()
    futures = [executor.submit(function, 1) for _ in range(count)]
    for future in concurrent.futures.as_completed(futures):
        assert future.result() == 1
    return count / (time.perf_counter() - begun)


def of_stint(socket, durable):
    def rate(count):
        with stint.Executor(socket=socket, durable=durable) as executor:
            return gathered(executor, stint.Task("echo", executor="coroutine"), count)

    return rate


def functions(socket):
    def rate(count):
        with stint.Executor(socket=socket) as executor:
            executor.submit(nothing, 1).result()  # the workers are up; so are those of the other pool
            return gathered(executor, nothing, count // 10)

    return rate


def pool_of(kind):
    def rate(count):
        with kind() as executor:
            executor.submit(nothing, 1).result()
            return gathered(executor, nothing, count)

    return rate


def of_asyncio(count):
    async def one(value):
        return value

    async def all_of_them():
        begun = time.perf_counter()
        for future in asyncio.as_completed([one(1) for _ in range(count)]):
            assert await future == 1
        return count / (time.perf_counter() - begun)

    return asyncio.run(all_of_them())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", required=True)
    parser.add_argument("--noops", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options, _ = parser.parse_known_args()
    processes = pool_of(concurrent.futures.ProcessPoolExecutor)
    contestants = {
        "stint.Executor, tasks, not durable": of_stint(options.socket, False),
        "stint.Executor, tasks, durable": of_stint(options.socket, True),
        "ThreadPoolExecutor": pool_of(concurrent.futures.ThreadPoolExecutor),
        "ProcessPoolExecutor": lambda count: processes(count // 5),
        "asyncio.as_completed": of_asyncio,
    }
    with stint.Client(options.socket) as client:
        if "pool.set" in client.capabilities:
            contestants["stint.Executor, functions"] = functions(options.socket)
    rates = {name: [] for name in contestants}
    order = list(contestants)
    for number in range(options.rounds):  # each round begins with another one, as in the rows in C++
        for name in order[number % len(order):] + order[:number % len(order)]:
            rates[name].append(contestants[name](options.noops))
    median = {name: statistics.median(found) for name, found in rates.items()}
    print(f"\nno-op work from one Python program: {options.noops}, gathered as they complete")
    for name, rate in median.items():
        print(f"  {name:<46} {rate:12.4g} tasks/s")
    ours = median["stint.Executor, tasks, not durable"]
    for rival in ("ThreadPoolExecutor", "ProcessPoolExecutor"):
        ratio = ours / median[rival]
        print(f"  {'tasks, not durable : ' + rival:<46} {ratio:12.3f}   goal {'> 1':<14} {'met' if ratio > 1 else 'MISSED'}")
        print(f"  {'tasks, durable : ' + rival:<46} {median['stint.Executor, tasks, durable'] / median[rival]:12.3f}")
    print(f"  {'tasks, not durable : asyncio.as_completed':<46} {ours / median['asyncio.as_completed']:12.3f}")
    if "stint.Executor, functions" in median:
        print(f"  {'functions : ProcessPoolExecutor':<46} {median['stint.Executor, functions'] / median['ProcessPoolExecutor']:12.3f}")


if __name__ == "__main__":
    main()
