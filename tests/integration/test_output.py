"""What programs write: captured right, whatever they do to their descriptors; and what they read."""

import base64
import time

import pytest
from harness import RpcError, alive, seconds, until


def both(record):
    return record["stdout"].get("data"), record["stderr"].get("data")


def test_both_streams_apart_and_together(client):
    assert both(client.run(shell="echo a; echo b >&2; echo c")) == ("a\nc\n", "b\n")
    record = client.run(shell="echo a; echo b >&2; echo c", stderr="stdout")
    assert record["stdout"]["data"] == "a\nb\nc\n" and "stderr" not in record


@pytest.mark.parametrize(
    "shell, out, err",
    [
        ("echo one; echo two | tee /dev/stderr; echo three", "one\ntwo\nthree\n", "two\n"),
        ("echo one; echo two > /dev/stdout; echo three", "one\ntwo\nthree\n", ""),
        ("echo one >&2; echo two > /dev/stderr; echo three >&2", "", "one\ntwo\nthree\n"),
        ("echo one; echo two > /proc/self/fd/1; echo three >> /dev/stdout", "one\ntwo\nthree\n", ""),
        ("printf 'no newline'", "no newline", ""),
        ("printf 'a\\r\\nb\\tc'", "a\r\nb\tc", ""),
        (":", "", ""),
        ("printf 'é✓'", "é✓", ""),
    ],
)
def test_what_programs_do_to_their_outputs(client, shell, out, err):
    assert both(client.run(shell=shell)) == (out, err)


def test_binary_output(client):
    number = client.run(command=["printf", r"\000\377\200x\n"])["id"]
    piece = client.call("job.output", id=number, of="stdout")
    assert piece["encoding"] == "base64" and base64.b64decode(piece["data"]) == b"\0\xff\x80x\n"
    assert (piece["offset"], piece["next"], piece["end"]) == (0, 5, True)


def test_output_in_pages(client):
    number = client.run(shell="seq 1 10000")["id"]
    expected = "".join(f"{k}\n" for k in range(1, 10001)).encode()
    assert client.output(number) == expected
    assert client.output(number, limit=1000) == expected
    piece = client.call("job.output", id=number, of="stdout", offset=10, limit=5)
    assert (piece["data"].encode(), piece["offset"], piece["next"], piece["end"]) == (expected[10:15], 10, 15, False)
    past = client.call("job.output", id=number, of="stdout", offset=10**9)
    assert (past["data"], past["end"]) == ("", True)


def test_multibyte_characters_cut_by_a_page(client):
    number = client.run(command=["printf", "ééééé"])["id"]
    assert client.output(number, limit=3) == "ééééé".encode()


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1, 1_000_000])
def test_sizes_around_what_stays_in_memory(client, size):
    record = client.run(shell=f"yes 0123456789abcde | head -c {size}; head -c {size} /dev/zero | tr '\\0' e >&2")
    assert record["stdout"] == {**record["stdout"], "bytes": size, "truncated": False}
    assert client.output(record["id"]) == (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    assert client.output(record["id"], of="stderr") == b"e" * size


def test_a_hundred_megabytes(client):
    size = 100 * 1024 * 1024
    record = client.run(command=["head", "-c", str(size), "/dev/zero"], output_limit=1024 * 1024)
    assert record["outcome"] == "succeeded" and record["stdout"] == {"bytes": size, "truncated": True}


def test_head_and_tail_are_kept(client):
    limit = 64 * 1024
    record = client.run(shell="seq 1 200000", output_limit=limit)
    whole = "".join(f"{k}\n" for k in range(1, 200001)).encode()
    assert record["stdout"]["bytes"] == len(whole) and record["stdout"]["truncated"] is True
    kept, offset, gap = b"", 0, None
    while True:
        piece = client.call("job.output", id=record["id"], of="stdout", offset=offset)
        if piece["offset"] != offset:
            assert gap is None
            gap = (offset, piece["offset"])
        kept += piece["data"].encode()
        offset = piece["next"]
        if piece["end"]:
            break
    assert gap and 0 < len(kept) <= limit + 4096
    assert kept == whole[: gap[0]] + whole[gap[1] :]
    assert gap[0] >= limit // 4 and len(whole) - gap[1] >= limit // 4


def test_output_limit_of_nothing(client):
    record = client.run(command=["echo", "hello"], output_limit=0)
    assert record["stdout"]["bytes"] == 6 and record["stdout"]["truncated"] is True
    assert client.output(record["id"]) == b""


def test_null_and_files(client, tmp_path):
    out = tmp_path / "out"
    job = {"shell": "echo x; echo y >&2", "cwd": str(tmp_path), "stderr": "null"}
    record = client.run(**job, stdout={"file": "out"})
    assert out.read_text() == "x\n" and "stdout" not in record and "stderr" not in record
    client.run(**job, stdout={"file": str(out), "append": True})
    assert out.read_text() == "x\nx\n"
    client.run(**job, stdout={"file": "out"})
    assert out.read_text() == "x\n"


def test_follow_is_live_and_ends_with_the_job(client):
    number = client.submit(shell="for k in 1 2 3 4 5; do echo $k; sleep 0.1; done")
    stream = client.call("job.output", id=number, of="stdout", follow=True)["stream"]
    text, times, offset = "", [], 0
    while (piece := client.item(stream)) is not None:
        assert piece["offset"] == offset
        offset = piece["next"]
        text += piece["data"]
        if piece["data"]:
            times.append(time.monotonic())
    assert text == "1\n2\n3\n4\n5\n" and client.ends[stream]["reason"] == "complete"
    assert times[-1] - times[0] > 0.3, "it came while the program ran"


def test_follow_of_a_job_that_has_not_started(client):
    blockers = [client.submit(command=["sleep", "0.4"]) for _ in range(6)]
    number = client.submit(command=["echo", "late"])
    stream = client.call("job.output", id=number, of="stdout", follow=True)["stream"]
    assert "".join(piece["data"] for piece in client.rest(stream)) == "late\n"
    client.wait(*blockers)


def test_follow_of_a_finished_job(client):
    number = client.run(shell="seq 1 50000")["id"]
    stream = client.call("job.output", id=number, of="stdout", follow=True, offset=2)["stream"]
    text = "".join(piece["data"] for piece in client.rest(stream))
    assert text == "".join(f"{k}\n" for k in range(1, 50001))[2:]


def test_follow_of_much_output_loses_nothing(client):
    number = client.submit(shell="sleep 0.1; seq 1 300000")
    stream = client.call("job.output", id=number, of="stdout", follow=True)["stream"]
    text = "".join(piece["data"] for piece in client.rest(stream))
    assert text == "".join(f"{k}\n" for k in range(1, 300001))


def test_a_background_child_that_outlives_its_parent(client):
    record = client.run(shell="sleep 300 & echo $!")
    assert record["outcome"] == "succeeded"
    child = int(record["stdout"]["data"])
    until(lambda: not alive(child), 10, "the end of what was left running")
    assert record["duration"] < seconds(4)


def test_a_child_that_is_kept(client):
    record = client.run(shell="sleep 300 >/dev/null 2>&1 & echo $!", leftovers="keep")
    child = int(record["stdout"]["data"])
    assert alive(child)
    import os
    import signal

    os.kill(child, signal.SIGKILL)


def test_what_a_leftover_writes_goes_to_its_own_job(client):
    first = client.submit(shell="(trap 'echo dying; exit' TERM; while :; do sleep 0.01; done) & echo parent")
    second = client.run(shell="sleep 0.2; echo second")
    client.wait(first)
    assert both(second) == ("second\n", "")


# ---- what they read


def test_stdin_forms(client, tmp_path):
    assert client.run(command=["cat"])["stdout"]["data"] == ""
    assert client.run(command=["cat"], stdin="text ✓\n")["stdout"]["data"] == "text ✓\n"
    number = client.run(command=["cat"], stdin={"base64": base64.b64encode(bytes(range(256))).decode()})["id"]
    assert client.output(number) == bytes(range(256))
    (tmp_path / "in").write_text("from a file")
    assert client.run(command=["cat"], stdin={"file": "in"}, cwd=str(tmp_path))["stdout"]["data"] == "from a file"


def test_a_large_stdin(client):
    text = "0123456789abcdef" * 65536
    record = client.run(command=["sh", "-c", "sleep 0.1; wc -c"], stdin=text)
    assert record["stdout"]["data"].strip() == str(len(text))


def test_a_program_that_does_not_read_its_input(client):
    assert client.run(command=["true"], stdin="x" * 1_000_000)["outcome"] == "succeeded"


def test_input_by_pieces(client):
    number = client.submit(command=["cat"], stdin="stream")
    client.call("job.input", id=number, data="one\n")
    client.until_output(number, "one\n")
    client.call("job.input", id=number, data=base64.b64encode(b"\xff\0two").decode(), encoding="base64")
    client.call("job.input", id=number, end=True)
    assert client.wait(number)[0]["outcome"] == "succeeded"
    assert client.output(number) == b"one\n\xff\0two"


def test_input_that_is_sent_again_comes_once(client):
    number = client.submit(command=["cat"], stdin="stream")
    client.call("job.input", id=number, data="abc", offset=0)
    client.call("job.input", id=number, data="abcd", offset=0)
    client.call("job.input", id=number, data="e")
    client.call("job.input", id=number, data="bc", offset=1)
    client.call("job.input", id=number, data="ef", offset=4)
    gap = client.error("job.input", id=number, data="x", offset=7)
    assert gap.kind == "conflict" and "byte 6" in str(gap)
    for offset in (-1, "3", 2**53):
        assert client.error("job.input", id=number, data="x", offset=offset).data["field"] == "offset"
    client.call("job.input", id=number, offset=6, end=True)
    try:
        client.call("job.input", id=number, data="f", offset=5, end=True)
    except RpcError as error:  # it has ended
        assert error.kind == "conflict"
    assert client.wait(number)[0]["outcome"] == "succeeded"
    assert client.output(number) == b"abcdef"


def test_input_before_the_start(client):
    blockers = [client.submit(command=["sleep", "0.3"]) for _ in range(6)]
    number = client.submit(command=["cat"], stdin="stream")
    client.send("")
    try:
        client.call("job.input", id=number, data="early", end=True)
    except Exception as error:  # refusing it is right too, as long as it says so
        assert error.kind == "conflict"
        client.call("job.cancel", ids=[number])
        client.wait(number, *blockers)
        return
    assert client.wait(number)[0]["outcome"] == "succeeded"
    assert client.output(number) == b"early"
    client.wait(*blockers)
