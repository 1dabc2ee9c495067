"""stint.Executor with tasks and programs, held against what concurrent.futures promises."""

import concurrent.futures
import contextlib
import gc
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import stint
from harness import seconds, until

ECHO = stint.Task("echo")
SLEEP = stint.Task("sleep")
FAIL = stint.Task("fail")


@pytest.fixture(scope="module")
def settings():
    return {"process__slots": 2, "thread__threads": 2}


@pytest.fixture
def executor(place):
    with stint.Executor() as one:
        yield one


@pytest.fixture
def blocked(tmp_path):
    """Fills every slot with programs that wait; gives their futures and the function that lets them go. At the end they go anyway."""
    gates = itertools.count()

    def block(executor, count=2):
        gate = tmp_path / str(next(gates))
        futures = [executor.submit(stint.Command(f"while ! [ -e {gate} ] && [ -d {tmp_path} ]; do sleep 0.01; done", shell=True))
                   for _ in range(count)]
        for each in futures:
            until(each.running, what="a running program")
        return futures, gate.touch

    yield block
    for number in range(next(gates)):
        (tmp_path / str(number)).touch()


# ---- submit and results
def test_calls_beside_the_results(executor):
    """Who calls reads for the executor's own thread, which waits meanwhile, and hands the reading back."""
    futures = [executor.submit(["sleep", "300"]) for _ in range(300)]
    for each in futures:
        each.stop()
    assert all(each.cancelled() for each in concurrent.futures.wait(futures, seconds(10)).done)


def test_it_is_an_executor(executor):
    assert isinstance(executor, concurrent.futures.Executor)
    future = executor.submit(ECHO, {"a": [1, 2]})
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(seconds(10)) == {"a": [1, 2]}
    assert future.done() and not future.running() and not future.cancelled() and future.exception() is None
    assert future.record["task"] == "echo" and future.record["id"] == future.job_id


def test_arguments_of_tasks(executor):
    assert executor.submit(ECHO).result() is None
    assert executor.submit(ECHO, None).result() is None
    assert executor.submit(ECHO, seconds=1, text="x").result() == {"seconds": 1, "text": "x"}
    with pytest.raises(TypeError, match="one argument"):
        executor.submit(ECHO, 1, 2)
    with pytest.raises(TypeError, match="is no work"):
        executor.submit(42)
    with pytest.raises(TypeError):
        executor.submit()


def test_programs(executor):
    done = executor.submit(["sh", "-c", "echo out; echo err >&2; exit 3"]).result()
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert isinstance(done, subprocess.CompletedProcess) and done.record["exit_code"] == 3
    words = stint.Command(["echo", "a"], text=True)
    assert executor.submit(words, "b", 3, Path("c")).result().stdout == "a b 3 c\n"
    assert [each.stdout for each in executor.map(stint.Command(["echo", "<{}>"], text=True), "xyz")] == ["<x>\n", "<y>\n", "<z>\n"]
    assert executor.submit(["sh", "-c", "kill -9 $$"]).result().returncode == -9
    with pytest.raises(subprocess.CalledProcessError) as caught:
        executor.submit(stint.Command(["sh", "-c", "echo no; exit 4"], check=True)).result()
    assert caught.value.returncode == 4 and caught.value.stdout == b"no\n"
    with pytest.raises(FileNotFoundError):
        executor.submit(["/nowhere/at/all"]).result()
    with pytest.raises(subprocess.TimeoutExpired):
        executor.submit(stint.Command(["sleep", "30"], timeout=0.05, grace=0)).result()
    large = executor.submit(["head", "-c", "200000", "/dev/zero"]).result()
    assert len(large.stdout) == 200_000
    assert executor.submit(stint.Command(["sh", "-c", "pwd; echo $WORD"], text=True, cwd="/usr", env={"WORD": "w", "PATH": os.environ["PATH"]})).result().stdout == "/usr\nw\n"
    assert executor.submit(stint.Command(["cat"], input="in")).result().stdout == b"in"


def test_failures_reach_their_future_alone(executor):
    futures = [executor.submit(FAIL), executor.submit(ECHO, 1), executor.submit(stint.Task("nowhere")), executor.submit(ECHO, 2)]
    with pytest.raises(stint.JobFailed, match="the task failed as it was asked to") as caught:
        futures[0].result()
    assert caught.value.record["outcome"] == "failed"
    assert isinstance(futures[2].exception(), stint.RpcError)
    assert [futures[1].result(), futures[3].result()] == [1, 2]


def test_an_argument_that_is_not_json_fails_its_future_alone(executor, blocked):
    futures, release = blocked(executor)  # so that all of these go out together
    mixed = [executor.submit(ECHO, value) for value in (1, object(), 2, float("nan"), {"x": {1}}, 3)]
    release()
    assert [mixed[0].result(), mixed[2].result(), mixed[5].result()] == [1, 2, 3]
    for bad, error in ((1, TypeError), (3, ValueError), (4, TypeError)):
        assert isinstance(mixed[bad].exception(), error)

    def nested(levels):
        return [nested(levels - 1)] if levels > 1 else []

    assert executor.submit(ECHO, nested(60)).result() == nested(60)
    neighbours = [executor.submit(ECHO, value) for value in (1, nested(64), 2)]
    assert isinstance(neighbours[1].exception(), ValueError)
    assert [neighbours[0].result(), neighbours[2].result()] == [1, 2]
    assert isinstance(executor.submit(ECHO, "x" * (17 << 20)).exception(), ValueError)
    concurrent.futures.wait(futures)


def test_large_results(executor):
    values = ["x" * 5_000, "y" * 300_000, "small"]
    assert list(executor.map(ECHO, values)) == values


def test_many_in_every_order(executor):
    echo = stint.Task("echo", durable=False)
    futures = [executor.submit(echo, number) for number in range(3_000)]
    assert sorted(each.result() for each in concurrent.futures.as_completed(futures)) == list(range(3_000))
    assert [each.result() for each in futures] == list(range(3_000))
    assert [each.job_id for each in futures] == sorted(each.job_id for each in futures)


def test_from_many_threads(executor):
    found = []

    def work(number):
        found.extend(each.result() for each in [executor.submit(ECHO, [number, k]) for k in range(50)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(seconds(30))
    assert sorted(found) == [[number, k] for number in range(6) for k in range(50)]


def test_defaults_for_every_job(place):
    with stint.Executor(priority=7, name="mine", durable=False) as executor:
        record = executor.submit(ECHO, 1)
        record.result()
        assert (record.record["priority"], record.record["name"], record.record["durable"]) == (7, "mine", False)
        assert executor.submit(stint.Command(["true"], name="own")).result().record["name"] == "own"


# ---- waiting
def test_wait_and_as_completed(executor, blocked):
    futures, release = blocked(executor, 1)
    quick = executor.submit(ECHO, 1)
    done, waiting = concurrent.futures.wait([*futures, quick], return_when=concurrent.futures.FIRST_COMPLETED)
    assert done == {quick} and waiting == set(futures)
    done, waiting = concurrent.futures.wait(futures, timeout=0.01)
    assert done == set() and waiting == set(futures)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(concurrent.futures.as_completed(futures, timeout=0.01))
    with pytest.raises(concurrent.futures.TimeoutError):
        futures[0].result(timeout=0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        futures[0].exception(timeout=0)
    failing = executor.submit(FAIL)
    done, _ = concurrent.futures.wait([*futures, failing], return_when=concurrent.futures.FIRST_EXCEPTION)
    assert failing in done
    release()
    assert concurrent.futures.wait(futures, timeout=seconds(10)).not_done == set()


def test_completion_comes_one_by_one(executor):
    sleep = stint.Task("sleep", executor="coroutine")
    futures = {executor.submit(sleep, seconds=tenths / 10): tenths for tenths in (3, 1, 2)}
    assert [futures[each] for each in concurrent.futures.as_completed(futures)] == [1, 2, 3]


def test_callbacks(executor):
    seen, again = [], []
    future = executor.submit(ECHO, 1)
    future.add_done_callback(lambda done: seen.append(done.result()))
    future.add_done_callback(lambda done: 1 / 0)  # logged, and nobody else's trouble
    future.add_done_callback(lambda done: again.append(executor.submit(ECHO, 2)))
    future.add_done_callback(lambda done: again.append(done.running()))
    until(lambda: len(again) == 2, what="the callbacks")
    assert seen == [1] and again[0].result() == 2 and again[1] is False


def test_a_callback_may_wait_cancel_and_shut_down(place, blocked):
    executor = stint.Executor()
    futures, release = blocked(executor)
    queued = executor.submit(["true"])
    seen = []

    def on_done(_):
        seen.append(queued.cancel())
        seen.append(executor._engine.client.get(queued.job_id)["id"] == queued.job_id)
        executor.shutdown(wait=True)
        seen.append("shut")

    executor.submit(ECHO, 1).add_done_callback(on_done)
    until(lambda: len(seen) == 3, what="the callback")
    assert seen == [True, True, "shut"]
    release()
    assert [each.result().returncode for each in futures] == [0, 0]


# ---- map
def test_map(executor):
    assert list(executor.map(ECHO, range(5))) == [0, 1, 2, 3, 4]
    assert list(executor.map(ECHO, range(5), chunksize=3)) == [0, 1, 2, 3, 4]
    assert list(executor.map(ECHO, [])) == []
    with pytest.raises(TypeError, match="one argument"):
        executor.map(ECHO, [1], [2])
    with pytest.raises(ValueError):
        executor.map(ECHO, [1], chunksize=-1)
    results = executor.map(FAIL, [1])
    with pytest.raises(stint.JobFailed):
        next(results)


def test_map_times_out(executor):
    results = executor.map(stint.Task("sleep", executor="coroutine"), [{"seconds": 0}, {"seconds": 5}], timeout=0.5)
    next(results)
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)
    executor._engine.client.cancel(group=executor.group, force=True)


def test_map_takes_its_items_at_once_and_gives_results_as_they_are_asked_for(executor):
    taken = []

    def items():
        for number in range(4):
            taken.append(number)
            yield number

    results = executor.map(ECHO, items())
    assert taken == [0, 1, 2, 3]
    assert next(results) == 0

    def broken():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        executor.map(ECHO, broken())


def test_a_map_that_is_given_up_cancels_what_is_left(place, blocked):
    executor = stint.Executor()
    futures, release = blocked(executor)
    results = executor.map(stint.Command(["echo"]), range(5))
    timing = executor.map(stint.Command(["echo"]), range(3), timeout=0.05)
    there = lambda **more: len(list(executor._engine.client.list(group=executor.group, **more)))  # noqa: E731
    until(lambda: there() == len(futures) + 8, what="all jobs in the daemon")
    with pytest.raises(concurrent.futures.TimeoutError):
        next(timing)
    release()
    assert len(list(results)) == 5
    executor._engine.client.wait(group=executor.group)
    assert there(outcome="cancelled") == 3
    executor.shutdown()


# ---- cancel
def test_cancel_before_during_and_after(executor, blocked):
    futures, release = blocked(executor)
    queued = [executor.submit(["true"]) for _ in range(3)]
    heard = []
    queued[0].add_done_callback(heard.append)
    assert queued[0].cancel() and queued[0].cancel() and queued[0].cancelled() and queued[0].done()
    assert heard == [queued[0]]
    with pytest.raises(concurrent.futures.CancelledError):
        queued[0].result()
    with pytest.raises(concurrent.futures.CancelledError):
        queued[0].exception()
    assert concurrent.futures.wait([queued[0]], timeout=1).done == {queued[0]}
    assert list(concurrent.futures.as_completed([queued[0]], timeout=1)) == [queued[0]]
    assert not futures[0].cancel() and futures[0].running(), "what runs is left alone"
    release()
    assert futures[0].result().returncode == 0 and not futures[0].cancel()
    assert queued[1].result().returncode == 0
    record = executor._engine.client.wait([queued[0].job_id]).finished[0]
    assert record["outcome"] == "cancelled" and "started_at" not in record


def test_what_somebody_else_cancels_is_cancelled(executor, blocked):
    futures, release = blocked(executor)
    executor._engine.client.cancel([futures[0].job_id])
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result(seconds(10))
    futures[1].stop()
    with pytest.raises(concurrent.futures.CancelledError):
        futures[1].result(seconds(10))


def test_what_is_waited_for_may_be_cancelled(executor, blocked):
    futures, release = blocked(executor)
    queued = executor.submit(["true"])
    threading.Timer(0.05, queued.cancel).start()
    assert list(concurrent.futures.as_completed([queued], timeout=seconds(10))) == [queued]
    release()


def test_forgotten_records_do_not_leave_a_future_waiting(executor):
    """Somebody drops the records before the executor has read them: it hears of it."""
    engine = executor._engine
    futures = [executor.submit(ECHO, number) for number in range(3)]
    concurrent.futures.wait(futures)
    assert engine._futures == {}
    engine._futures[999_999_999] = lost = stint.Future(engine)
    lost._template, lost.job_id = engine.task(ECHO), 999_999_999
    executor.submit(ECHO, 1).result()
    assert isinstance(lost.exception(timeout=seconds(10)), stint.NotFound)


# ---- its end
def test_after_shutdown(place):
    executor = stint.Executor()
    future = executor.submit(ECHO, 1)
    executor.shutdown()
    assert future.done() and future.result() == 1
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(ECHO, 2)
    with pytest.raises(RuntimeError):
        executor.submit(pow, 2, 5)
    with pytest.raises(RuntimeError):
        executor.map(ECHO, [1])
    executor.shutdown()
    executor.shutdown(wait=False, cancel_futures=True)
    stint.Executor().shutdown()  # one that never did anything
    assert future.record["outcome"] == "succeeded", "another connection is asked"


def test_shutdown_waits_for_what_there_is(place):
    with stint.Executor() as executor:
        futures = [executor.submit(["sh", "-c", "sleep 0.1; echo x"]) for _ in range(4)]
    assert all(each.done() for each in futures)


def test_shutdown_that_does_not_wait(place, blocked):
    executor = stint.Executor()
    futures, release = blocked(executor, 1)
    before = time.monotonic()
    executor.shutdown(wait=False)
    assert time.monotonic() - before < seconds(1) and not futures[0].done()
    release()
    assert futures[0].result().returncode == 0
    executor._engine._thread.join(seconds(10))
    assert not executor._engine._thread.is_alive()


def test_shutdown_that_cancels_leaves_alone_what_runs(place, blocked):
    executor = stint.Executor()
    futures, release = blocked(executor)
    queued = [executor.submit(["true"]) for _ in range(20)]
    closing = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
    closing.start()
    concurrent.futures.wait(queued, timeout=seconds(10))
    assert all(each.cancelled() for each in queued)
    assert not any(each.done() for each in futures)
    release()
    closing.join(seconds(10))
    assert [each.result().returncode for each in futures] == [0, 0]


def test_an_executor_that_is_dropped_ends_its_work_and_lets_go(place, blocked):
    executor = stint.Executor()
    futures, release = blocked(executor, 1)
    engine, executor_gone = executor._engine, weakref.ref(executor)
    del executor
    gc.collect()
    assert executor_gone() is None
    release()
    assert futures[0].result().returncode == 0
    engine._thread.join(seconds(10))
    assert not engine._thread.is_alive() and engine.client._link.failure is not None


def test_results_are_not_kept(executor):
    class Item(dict):
        pass

    item = Item(a=1)
    gone = weakref.ref(item)
    future = executor.submit(ECHO, item)
    assert future.result() == {"a": 1}
    del item, future
    executor.submit(ECHO, 1).result()
    gc.collect()
    assert gone() is None


def test_a_program_that_ends_waits_for_what_it_has_submitted(place):
    script = ("import sys; sys.path.insert(0, sys.argv[1]); import stint\n"
              "executor = stint.Executor()\n"
              "future = executor.submit(['sh', '-c', 'sleep 0.2; echo done'])\n"
              "future.add_done_callback(lambda f: print(f.result().stdout))\n")
    home = str(Path(stint.__file__).parent)
    done = subprocess.run([sys.executable, "-B", "-c", script, home], capture_output=True, text=True, timeout=seconds(30))
    assert (done.stdout, done.stderr, done.returncode) == ("b'done\\n'\n", "", 0)


def test_submit_while_the_interpreter_ends_is_refused(place):
    script = ("import sys, atexit; sys.path.insert(0, sys.argv[1])\n"
              "@atexit.register\n"
              "def late():\n"
              "    try: executor.submit(stint.Task('echo'), 1)\n"
              "    except RuntimeError as error: print(error)\n"
              "import stint\n"
              "executor = stint.Executor()\n")
    home = str(Path(stint.__file__).parent)
    done = subprocess.run([sys.executable, "-B", "-c", script, home], capture_output=True, text=True, timeout=seconds(30))
    assert "cannot schedule new futures after" in done.stdout and done.stderr == ""


def test_it_can_be_neither_pickled_nor_taken_through_a_fork(executor):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(executor)
    executor.submit(ECHO, 1).result()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            executor.submit(ECHO, 1)
        except RuntimeError as error:
            os.write(write, str(error).encode())
        executor.shutdown()
        os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    assert b"before a fork" in os.read(read, 1000)
    os.close(read)
    assert executor.submit(ECHO, 2).result() == 2


@pytest.mark.parametrize("options, error", [({"max_workers": 0}, ValueError), ({"max_workers": -1}, ValueError),
                                            ({"max_workers": "two"}, TypeError), ({"max_workers": 1.5}, TypeError),
                                            ({"initializer": 42}, TypeError), ({"max_tasks_per_child": 0}, ValueError),
                                            ({"max_tasks_per_child": "x"}, TypeError)])
def test_bad_options(place, options, error):
    with pytest.raises(error):
        stint.Executor(**options)


def test_more_workers_than_a_pool_may_have(place, link):
    most = link.info["bounds"]["pool_size_max"]
    with stint.Executor(most):
        connections = link.call("daemon.stats")["connections"]["open"]
        with pytest.raises(ValueError, match=f"max_workers must be <= {most}"):
            stint.Executor(most + 1)
        until(lambda: link.call("daemon.stats")["connections"]["open"] <= connections, what="the end of its connection")


def test_no_daemon_is_told_at_once(tmp_path):
    with pytest.raises(stint.NoDaemon):
        stint.Executor(socket=tmp_path / "nobody")


# ---- a daemon that comes and goes
def test_a_restart_is_survived(start):
    daemon = start(process__slots=2)
    gate = daemon.home / "go"
    with stint.Executor(socket=daemon.socket) as executor:
        wait = stint.Command(f"while ! [ -e {gate} ]; do sleep 0.02; done; echo over", shell=True)
        futures = [executor.submit(wait) for _ in range(4)]
        until(futures[0].running, what="a running program")
        lost = executor.submit(stint.Task("sleep", durable=False, executor="coroutine"), seconds=300)
        until(lambda: lost.job_id, what="its id")
        daemon.kill()
        later = [executor.submit(ECHO, number) for number in range(3)]
        daemon.launch()
        daemon.until_serving()
        assert [each.result(seconds(20)) for each in later] == [0, 1, 2]
        assert isinstance(lost.exception(seconds(20)), stint.JobLost)
        gate.touch()
        assert [each.result(seconds(20)).stdout for each in futures] == [b"over\n"] * 4


def test_a_daemon_that_does_not_come_back_breaks_it(start):
    daemon = start()
    executor = stint.Executor(socket=daemon.socket)
    executor._engine.client._reconnect = 0.2
    future = executor.submit(stint.Task("sleep", executor="coroutine"), seconds=300)
    until(lambda: future.job_id, what="its id")
    daemon.kill()
    assert isinstance(future.exception(seconds(10)), stint.BrokenProcessPool)
    assert isinstance(future.exception().__cause__, stint.ConnectionLost)
    with pytest.raises(stint.BrokenProcessPool):
        executor.submit(ECHO, 1)
    executor.shutdown()
    daemon.launch()
    daemon.until_serving()


def test_connections_that_break_again_and_again_lose_and_repeat_nothing(place):
    with stint.Executor() as executor:
        engine, futures = executor._engine, []
        for number in range(400):
            futures.append(executor.submit(ECHO, number))
            if number % 50 == 25:
                with contextlib.suppress(OSError):  # it may be away from the last time
                    engine.client._link._socket.shutdown(2)
        assert [each.result(seconds(20)) for each in futures] == list(range(400))
        assert len(list(engine.client.list(group=executor.group))) == 400
