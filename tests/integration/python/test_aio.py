"""stint.aio: the client and the executor of asyncio."""

import asyncio
import functools

import pytest
import stint
from harness import seconds
from stint import aio


def awaited(function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        return asyncio.run(asyncio.wait_for(function(*args, **kwargs), seconds(60)))

    return run


@awaited
async def test_calls_and_errors(place):
    async with aio.Client() as client:
        assert (await client.daemon.info())["name"] == "stint"
        job = await client.submit(["echo", "hello"])
        assert (await client.wait([job])).finished[0]["exit_code"] == 0
        assert (await client.job.get(id=job))["outcome"] == "succeeded"
        assert (await client.run_job(stint.Task("echo"), args=3))["result"] == 3
        with pytest.raises(stint.InvalidParams) as caught:
            await client.submit({"task": "echo", "timeout": -1})
        assert caught.value.data["field"] == "job.timeout"
        with pytest.raises(stint.MethodNotFound):
            await client.job.nothing()
    with pytest.raises(stint.ConnectionLost):
        await client.daemon.info()


@awaited
async def test_many_calls_at_once(place):
    async with aio.Client() as client:
        records = await asyncio.gather(*(client.run_job(stint.Task("echo"), args=number) for number in range(200)))
        assert [record["result"] for record in records] == list(range(200))


@awaited
async def test_streams(place):
    async with aio.Client() as client:
        slow = await client.submit(["sleep", "30"])
        quick = [await client.submit(stint.Task("echo"), args=number) for number in range(3)]
        seen = []
        async for record in client.results([*quick, slow]):
            seen.append(record["id"])
            if len(seen) == 3:
                await client.cancel([slow])
        assert sorted(seen[:3]) == quick and seen[3] == slow
        written = await client.submit(["sh", "-c", "echo a; echo b"])
        assert "".join([piece["data"] async for piece in client.job.output(id=written, follow=True)]) == "a\nb\n"
        with pytest.raises(stint.NotFound):
            async for _ in client.results(group="never heard of"):
                pass
        events = client.feed.subscribe(kinds=["job.finished"])
        waiting = asyncio.ensure_future(events.__anext__())
        again = await client.submit(stint.Task("echo"))
        while not waiting.done():
            again = await client.submit(stint.Task("echo"))
            await asyncio.wait([waiting], timeout=0.05)
        assert (await waiting)["kind"] == "job.finished" and again
        await events.aclose()
        assert client._streams == {}


def test_a_restart_is_survived(start):
    daemon = start()
    gate = daemon.home / "go"

    @awaited
    async def scenario():
        async with aio.Client(daemon.socket) as client:
            jobs = [await client.submit({"shell": f"while ! [ -e {gate} ]; do sleep 0.02; done", "group": "g"}) for _ in range(2)]
            quick = await client.submit(stint.Task("echo"), group="g")
            results = client.results(group="g")
            assert (await results.__anext__())["id"] == quick
            waiting = asyncio.ensure_future(client.wait(jobs))
            await asyncio.sleep(0)
            daemon.restart()
            gate.touch()
            assert len((await waiting).finished) == 2
            assert sorted([record["id"] async for record in results]) == jobs

    scenario()


@pytest.mark.parametrize("orderly", [False, True])
def test_waits_go_on_at_the_next_daemon(start, orderly):
    daemon = start()

    @awaited
    async def scenario():
        async with aio.Client(daemon.socket) as client, aio.Client(daemon.socket) as other:
            waiting = asyncio.ensure_future(client.event.wait(name="go"))
            while not (await other.event.list())["events"]:
                await asyncio.sleep(0.01)
            await asyncio.get_running_loop().run_in_executor(None, daemon.restart, orderly)
            await other.event.set(name="go")
            await waiting
            with pytest.raises(stint.TimedOut):
                await client.event.wait(name="never", timeout=0)

    scenario()


@pytest.mark.parametrize("orderly", [False, True])
def test_leases_are_kept_over_a_restart(start, orderly):
    daemon = start()

    @awaited
    async def scenario():
        async with aio.Client(daemon.socket) as client:
            lease = await client.lock.acquire(name="kept")
            await asyncio.get_running_loop().run_in_executor(None, daemon.restart, orderly)
            await client.lock.release(lease=lease["lease"])
            assert (await client.lock.list())["locks"] == [] and not client._leases

    scenario()


@awaited
async def test_the_executor(place):
    async with aio.Executor() as executor:
        assert await executor.submit(stint.Task("echo"), 1) == 1
        assert [item async for item in executor.map(stint.Task("echo"), range(5))] == [0, 1, 2, 3, 4]
        sleep = stint.Task("sleep", executor="coroutine")
        assert (await executor.submit(["echo", "x"])).stdout == b"x\n"
        done = [record async for record in executor.as_completed(sleep, [{"seconds": 0.2}, {"seconds": 0.1}])]
        assert len(done) == 2
        future = executor.submit(sleep, seconds=30)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(future), 0.05)
        executor.executor._engine.client.cancel(group=executor.executor.group, force=True)
        with pytest.raises(asyncio.CancelledError):
            await future


@awaited
async def test_run_and_the_loops_own_way(place):
    assert (await aio.run(["echo", "x"], capture_output=True, text=True)).stdout == "x\n"
    with stint.Executor() as executor:
        found = await asyncio.get_running_loop().run_in_executor(executor, stint.Task("echo"), [1, 2])
        assert found == [1, 2]
