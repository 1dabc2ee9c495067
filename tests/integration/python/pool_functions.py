"""What test_functions.py has done in workers: importable, as it must be."""

import os
import sys
import threading
import time
from pathlib import Path

import stint

state = None


def echo(value):
    return value


def divide(a, b):
    return a / b


class Stubborn(Exception):
    """Cannot be made again from its args."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def raise_stubborn():
    raise Stubborn("told", "so")


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def raise_unpicklable():
    raise Unpicklable("holds a lock")


def interrupt():
    raise KeyboardInterrupt


def make_lock():
    return threading.Lock()


class Adder:
    def __init__(self, number):
        self.number = number

    def add(self, other):
        return self.number + other


def where():
    return sys.executable, os.getcwd(), sys.path[0]


def noisy(word):
    print("print", word)
    sys.stdout.write(f"write {word}\n")
    sys.stdout.flush()
    os.write(1, f"fd {word}\n".encode())
    os.system(f"echo child {word}")
    return "done"


def meet(directory, name, count):
    """Returns when so many are there at the same time."""
    (Path(directory) / name).touch()
    while len(list(Path(directory).iterdir())) < count:
        time.sleep(0.005)
    return count


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.005)
    return "seen"


def touch(path):
    time.sleep(0.1)
    Path(path).touch()


def append(numbers, number):
    numbers.append(number)


def much(count):
    return bytes(count)


def initialize(value):
    global state
    state = value


def initialized():
    return state


def ask_again(number):
    """A function that has the daemon do something and waits for it."""
    return stint.Task("echo")(number * number)
