#!/usr/bin/env python3
"""Long-lived workers of this interpreter that call functions: one that dies costs its own call alone."""
import os

import stint


def square(number):
    return number**2 if number >= 0 else os.abort()


if __name__ == "__main__":
    with stint.Executor(2, replace_workers=True) as executor:
        print(*executor.map(square, [1, 2, 3]), sep="\n")
        dying = executor.submit(square, -1)
        if isinstance(dying.exception(), stint.BrokenProcessPool):
            print(f"{dying.record['outcome']}: {dying.record['error']['kind']}")
        print(executor.submit(square, 4).result())
