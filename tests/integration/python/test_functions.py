"""stint.Executor with Python functions, held against what CPython's tests ask of ProcessPoolExecutor."""

import concurrent.futures
import functools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pool_functions as work
import pytest
import stint
from harness import seconds, until


@pytest.fixture
def pool(place):
    with stint.Executor(max_workers=2) as executor:
        yield executor


def test_results_and_exceptions(pool):
    assert pool.submit(pow, 2, 8).result(seconds(20)) == 256
    assert pool.submit(pow, base=2, exp=5).result() == 32
    assert pool.submit(divmod, 91, 21).result() == (4, 7)
    for value in (None, True, 0, -1, 1 << 60, 2**53 - 1, 1.5, float("inf"), "t\u00e4xt", b"\x00\xff", [1, (2,)], {"a": {3}}, "\ud800"):
        assert pool.submit(work.echo, value).result() == value and type(pool.submit(work.echo, value).result()) is type(value)
    with pytest.raises(ZeroDivisionError) as caught:
        pool.submit(work.divide, 1, 0).result()
    assert isinstance(caught.value.__cause__, stint.RemoteTraceback)
    assert "in divide" in str(caught.value.__cause__) and "ZeroDivisionError" in str(caught.value.__cause__)
    assert "a / b" in caught.value.__cause__.text


def test_exceptions_that_are_hard_to_carry(pool):
    with pytest.raises(stint.JobFailed, match="Stubborn: told so") as caught:
        pool.submit(work.raise_stubborn).result()
    assert "raise_stubborn" in caught.value.__cause__.text
    with pytest.raises(stint.JobFailed, match="holds a lock"):
        pool.submit(work.raise_unpicklable).result()
    with pytest.raises(SystemExit):
        pool.submit(sys.exit, 3).result()
    with pytest.raises(KeyboardInterrupt):
        pool.submit(work.interrupt).result()
    assert pool.submit(pow, 2, 3).result() == 8, "the worker goes on"
    record = pool.submit(work.divide, 1, 0)
    assert record.exception() and record.record["outcome"] == "failed"
    assert record.record["error"]["message"] == "ZeroDivisionError: division by zero"


def test_what_cannot_be_pickled_fails_its_future(pool):
    with pytest.raises(pickle.PicklingError, match="lambda or an inner function"):
        pool.submit(lambda: 1).result()

    def inner():
        return 1

    with pytest.raises(pickle.PicklingError, match="define it at the top of a module"):
        pool.submit(inner).result()
    with pytest.raises(TypeError, match="pickle"):
        pool.submit(work.echo, threading.Lock()).result()
    with pytest.raises(TypeError, match="pickle"):
        pool.submit(work.make_lock).result()
    assert pool.submit(functools.partial(pow, 2), 4).result() == 16
    assert pool.submit(work.Adder(3).add, 4).result() == 7


def test_it_is_this_interpreter_with_its_path_and_directory(pool, tmp_path, monkeypatch):
    assert pool.submit(work.where).result() == (sys.executable, os.getcwd(), sys.path[0])
    assert pool.submit(os.getpid).result() != os.getpid()
    monkeypatch.setenv("A_WORD", "said")
    with stint.Executor(1) as other:
        assert other.submit(os.getenv, "A_WORD").result() == "said"
        assert other.submit(os.getenv, "STINT_PYTHON").result() is None


def test_print_is_output_and_not_an_answer(pool):
    future = pool.submit(work.noisy, "hello")
    assert future.result() == "done"
    assert future.output == "print hello\nwrite hello\nfd hello\nchild hello\n"
    quiet = pool.submit(work.echo, 1)
    assert quiet.result() == 1 and quiet.output == ""
    assert pool.submit(input).exception().__class__ is EOFError, "messages are not its input"


def test_a_function_knows_its_job(pool):
    future = pool.submit(stint.current_job)
    assert future.result() == future.job_id
    again = pool.submit(stint.current_job)
    assert again.result() == again.job_id
    assert stint.current_job() is None
    assert future.record["pool"] == pool.group and future.record["args"]["function"] == "stint.current_job"


def test_as_many_at_once_as_there_are_workers(pool, tmp_path):
    assert [each.result() for each in [pool.submit(work.meet, tmp_path, name, 2) for name in "ab"]] == [2, 2]
    pids = {each.result() for each in [pool.submit(os.getpid) for _ in range(20)]}
    assert 1 <= len(pids) <= 2


def test_map(pool):
    assert list(pool.map(pow, range(40), range(40))) == list(map(pow, range(40), range(40)))
    for size in (1, 6, 50):
        assert list(pool.map(pow, range(40), range(40), chunksize=size)) == list(map(pow, range(40), range(40)))
    with pytest.raises(ValueError):
        pool.map(pow, range(2), range(2), chunksize=-1)
    results = pool.map(work.divide, [2, 1, 1], [1, 0, 1])
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)
    results = pool.map(work.divide, [2, 1, 1], [1, 0, 1], chunksize=3)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(pool.map(time.sleep, [0, 1], timeout=0.3))


def test_large_arguments_and_results(pool):
    data = os.urandom(3 << 20)
    assert pool.submit(work.echo, data).result() == data
    assert isinstance(pool.submit(len, bytes(13 << 20)).exception(), ValueError)
    assert pool.submit(work.much, 100).result() == bytes(100)
    with pytest.raises(Exception, match="bytes"):
        pool.submit(work.much, 20 << 20).result()
    assert pool.submit(pow, 2, 3).result() == 8


def test_initializer(place, tmp_path):
    with stint.Executor(1, initializer=work.initialize, initargs=("ready",)) as executor:
        assert [executor.submit(work.initialized).result() for _ in range(3)] == ["ready"] * 3
    executor = stint.Executor(1, initializer=work.divide, initargs=(1, 0))
    futures = [executor.submit(pow, 2, number) for number in range(3)]
    for each in futures:
        with pytest.raises(stint.BrokenProcessPool):
            each.result(seconds(20))
    with pytest.raises(stint.BrokenProcessPool, match="initializer"):
        executor.submit(pow, 2, 3)
    executor.shutdown()
    with stint.Executor(1, initializer=lambda: 1) as executor:
        with pytest.raises(pickle.PicklingError):
            executor.submit(pow, 2, 3).result()


def test_workers_are_replaced_after_so_many(place):
    with stint.Executor(1, max_tasks_per_child=2) as executor:
        pids = [executor.submit(os.getpid).result() for _ in range(5)]
    assert len(set(pids)) == 3 and pids[0] == pids[1] and pids[2] == pids[3]


def test_a_worker_that_dies_breaks_the_pool(place):
    executor = stint.Executor(2)
    waiting = [executor.submit(time.sleep, 300) for _ in range(3)]
    os.kill(until(lambda: waiting[0].record.get("pid"), what="a worker"), signal.SIGKILL)
    for each in waiting:
        with pytest.raises(stint.BrokenProcessPool):
            each.result(seconds(20))
    with pytest.raises(stint.BrokenProcessPool):
        executor.submit(pow, 2, 8)
    executor.shutdown()
    executor = stint.Executor(1)
    with pytest.raises(stint.BrokenProcessPool):
        executor.submit(os._exit, 3).result()
    executor.shutdown(wait=True)


def test_or_only_its_own_function_fails(place):
    with stint.Executor(1, replace_workers=True) as executor:
        before = executor.submit(os.getpid).result()
        failing, after = executor.submit(os._exit, 3), executor.submit(os.getpid)
        with pytest.raises(stint.BrokenProcessPool):
            failing.result()
        assert after.result() != before
        assert executor.submit(pow, 2, 3).result() == 8


def test_cancel_and_shutdown(place, tmp_path):
    executor = stint.Executor(1)
    gate = tmp_path / "gate"
    running = executor.submit(work.wait_for, gate)
    until(running.running, what="a running function")
    queued = [executor.submit(pow, 2, number) for number in range(5)]
    assert queued[0].cancel() and not running.cancel()
    executor.shutdown(wait=False, cancel_futures=True)
    concurrent.futures.wait(queued, timeout=seconds(10))
    assert all(each.cancelled() for each in queued) and not running.done()
    gate.touch()
    assert running.result() == "seen"


def test_workers_end_with_the_executor(place, link):
    with stint.Executor(2) as executor:
        pids = {each.result() for each in [executor.submit(os.getpid) for _ in range(4)]}
        assert executor.group in [row["name"] for row in link.pool.list()["pools"]]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="the end of the workers")
    until(lambda: executor.group not in [row["name"] for row in link.pool.list()["pools"]], what="the end of the pool")


def test_a_lost_connection_breaks_the_pool(place):
    executor = stint.Executor(1)
    future = executor.submit(time.sleep, 300)
    until(future.running, what="a running function")
    executor._engine.client._link._socket.shutdown(2)
    with pytest.raises(stint.BrokenProcessPool, match="connection"):
        future.result(seconds(10))
    executor.shutdown()


def test_functions_tasks_and_programs_beside_each_other(pool):
    futures = [pool.submit(pow, 2, 8), pool.submit(stint.Task("echo"), 1), pool.submit(["true"])]
    assert [futures[0].result(), futures[1].result(), futures[2].result().returncode] == [256, 1, 0]


SCRIPT = """
import os, sys
sys.path.insert(0, {home!r})
import stint

def double(x):
    return 2 * x

class Refused(Exception):
    pass

def refuse():
    raise Refused("by the script")

if __name__ == "__main__":
    with stint.Executor(2) as executor:
        print(list(executor.map(double, range(3))))
        try:
            executor.submit(refuse).result()
        except Refused as error:
            print("refused", error)
"""


def test_functions_of_the_script_itself(place, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(home=str(Path(stint.__file__).parent)))
    done = subprocess.run([sys.executable, "-B", str(script)], capture_output=True, text=True, timeout=seconds(60))
    assert (done.stdout, done.stderr) == ("[0, 2, 4]\nrefused by the script\n", "")
    # Without the guard a worker would begin the program again; it is told.
    script.write_text(SCRIPT.format(home=str(Path(stint.__file__).parent)).replace('if __name__ == "__main__"', "if True"))
    done = subprocess.run([sys.executable, "-B", str(script)], capture_output=True, text=True, timeout=seconds(60))
    assert done.returncode != 0 and "if __name__" in done.stderr


FROM_STDIN = """
import sys
sys.path[:0] = {paths!r}
import stint, pool_functions
def double(x):
    return 2 * x
class Number(int):
    def double(self):
        return 2 * self
if __name__ == "__main__":
    with stint.Executor(1) as executor:
        print(executor.submit(pow, 2, 8).result(), executor.submit(pool_functions.echo, 1).result())
        for work in (double, Number(2).double, Number):
            error = executor.submit(work, 1).exception()
            print(type(error).__name__, error)
        print(type(executor.submit(pool_functions.echo, Number(2)).exception()).__name__)
        print(executor.submit(pow, 2, 3).result())
"""


@pytest.mark.parametrize("program", [["-"], ["/dev/stdin"], ["-c", FROM_STDIN]])
def test_a_script_that_no_worker_can_import(place, program):
    paths = [str(Path(stint.__file__).parent), str(Path(work.__file__).parent)]
    text = FROM_STDIN.format(paths=paths)
    program = [text if word is FROM_STDIN else word for word in program]
    done = subprocess.run([sys.executable, "-B", *program], input=text, capture_output=True, text=True, timeout=seconds(60))
    assert done.stderr == ""
    first, *refused, argument, last = done.stdout.splitlines()
    assert (first, argument, last) == ("256 1", "AttributeError", "8")
    assert len(refused) == 3 and all(line.startswith("PicklingError __main__.") and "put it in a file" in line for line in refused)


AT_EXIT = """
import atexit, sys
sys.path[:0] = {paths!r}
@atexit.register
def at_the_very_end():
    try:
        executor.submit(pow, 2, 8)
    except RuntimeError as error:
        print(error)
import pool_functions, stint
executor = stint.Executor(1)
executor.submit(pool_functions.touch, {mark!r})
"""


@pytest.mark.parametrize("last", ["", "executor.shutdown(wait=False)"])
def test_what_was_submitted_is_done_before_the_interpreter_ends(place, tmp_path, last):
    mark = tmp_path / "mark"
    script = AT_EXIT.format(paths=[str(Path(each.__file__).parent) for each in (stint, work)], mark=str(mark)) + last
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, timeout=seconds(60))
    assert done.stdout.startswith("cannot schedule new futures after"), done
    assert mark.exists() and (done.stderr, done.returncode) == ("", 0), done


def test_shared_objects_of_multiprocessing_are_arguments(place):
    with multiprocessing.Manager() as manager:
        numbers = manager.list()
        with stint.Executor(1) as executor:
            executor.submit(work.append, numbers, 7).result()
        assert list(numbers) == [7]


def test_sub_jobs_of_a_function(pool):
    assert pool.submit(work.ask_again, 5).result() == 25


def test_many(pool):
    assert list(pool.map(work.echo, range(500))) == list(range(500))
