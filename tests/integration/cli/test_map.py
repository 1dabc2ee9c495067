"""stint map: items, order, windows, failures, interrupts, the progress bar."""

import json
import re
import signal
import subprocess
import time

from harness import seconds, until
from program import read_until


def test_items_after_the_separator(cli):
    text = cli.out("map", "echo", "got", "{}", "!", ":::", "a b", "c", "[x,y]", "{}")
    assert sorted(text.splitlines()) == ["got [x,y] !", "got a b !", "got c !", "got {} !"]


def test_item_is_appended_where_no_marker_stands(cli):
    assert sorted(cli.out("map", "echo", "-", ":::", "1", "2").splitlines()) == ["- 1", "- 2"]


def test_items_from_standard_input(cli):
    assert sorted(cli.out("map", "echo", input="a\nb b\n\nc").splitlines()) == ["a", "b b", "c"]
    assert cli.out("map", "-0", "printf", "<%s>", input=b"a\nb\0").replace("\n", "|") == "<a|b>"
    assert cli.out("map", "echo", input="") == ""


def test_marker_of_ones_own(cli):
    assert cli.out("map", "-I", "%", "echo", "{}%", ":::", "x") == "{}x\n"


def test_completion_order_and_order_of_items(cli):
    waits = ["0.5", "0.1", "0.3"]
    assert cli.out("map", "--shell", 'sleep "$STINT_ITEM"; echo "$STINT_ITEM"', ":::", *waits).split() == ["0.1", "0.3", "0.5"]
    assert cli.out("map", "-k", "--shell", 'sleep "$STINT_ITEM"; echo "$STINT_ITEM"', ":::", *waits).split() == waits


def test_results_come_as_they_complete(cli):
    process = cli.begin("map", "--shell", 'case $STINT_ITEM in slow) sleep 60;; esac; echo $STINT_ITEM', ":::", "slow", "quick")
    read_until(process, b"quick\n")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(seconds(20)) == 125


def test_items_that_arrive_slowly(cli):
    process = cli.begin("map", "echo", stdin=subprocess.PIPE)
    for word in (b"one", b"two"):
        process.stdin.write(word + b"\n")
        read_until(process, word + b"\n")
    process.stdin.close()
    assert process.wait(seconds(20)) == 0


def test_output_is_whole_and_unmixed(cli):
    script = 'for i in 1 2 3 4 5; do printf "$STINT_ITEM$i "; sleep 0.01; done; echo; head -c 200000 /dev/zero | tr "\\0" $STINT_ITEM; echo'
    lines = cli.out("map", "--shell", script, ":::", *"abcdef").splitlines()
    assert len(lines) == 12
    for head, body in zip(lines[::2], lines[1::2]):
        letter = head[0]
        assert head == "".join(f"{letter}{i} " for i in range(1, 6))
        assert body == letter * 200_000


def test_at_most_n_of_this_map_at_once(cli, tmp_path):
    script = f'echo + >> {tmp_path}/log; sleep 0.02; echo - >> {tmp_path}/log'
    cli.out("map", "-j", "2", "--shell", script, input="".join(f"{i}\n" for i in range(20)))
    running = most = 0
    for line in (tmp_path / "log").read_text().split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert running == 0 and most == 2


def test_one_at_a_time_keeps_the_order(cli):
    assert cli.out("map", "-j1", "echo", ":::", *"abcdefgh").split() == list("abcdefgh")


def test_many_items(cli):
    text = cli.out("map", "--task", "echo", "--executor", "coroutine", "--no-durable", "-k", input="".join(f"{i}\n" for i in range(30_000)))
    assert text.split() == [str(i) for i in range(30_000)]


def test_tasks(cli, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    text = cli.out("map", "-k", "--task", "digest", "--args", '{"file": "' + str(tmp_path) + '/{}"}', ":::", "a", "b")
    assert len(text.splitlines()) == 2
    assert cli.out("map", "-k", "--task", "echo", ":::", "5", "word", '{"a": [1]}') == '5\n"word"\n{"a":[1]}\n'


def test_a_failure_does_not_stop_the_rest(cli):
    done = cli("map", "-k", "--shell", 'echo $STINT_ITEM; test $STINT_ITEM != 2', ":::", "1", "2", "3")
    assert done.returncode == 1
    assert done.stdout == b"1\n2\n3\n"
    assert re.search(rb"job \d+, item 2: exit code 1", done.stderr)


def test_fail_fast(cli):
    begin = time.monotonic()
    done = cli("map", "-j2", "--fail-fast", "--shell", 'test $STINT_ITEM = 1 && exit 9; sleep 60', ":::", "1", "2", "3", "4")
    assert done.returncode == 9
    assert time.monotonic() - begin < seconds(20)


def test_interrupt_cancels_the_group(cli, client):
    process = cli.begin("map", "--group", "stopped", "sleep", ":::", "61", "62", "63")
    until(lambda: len(client.call("job.list", group="stopped", state="running")["jobs"]) == 3, what="three running")
    process.send_signal(signal.SIGINT)
    assert process.wait(seconds(20)) == 125
    assert cli.out("list", "--group", "stopped", "--format", "{outcome}").split() == ["cancelled"] * 3


def test_reader_that_goes_away_ends_the_map(cli):
    process = cli.begin("map", "--group", "unread", "-j1", "--shell", "echo x; sleep 0.01", stdin=subprocess.PIPE)
    process.stdin.write(b"1\n" * 2_000)
    process.stdin.close()
    read_until(process, b"x\n")
    process.stdout.close()
    assert process.wait(seconds(20)) == 128 + signal.SIGPIPE
    assert until(lambda: set(cli.out("list", "--group", "unread", "--format", "{state}").split()) == {"finished"},
                 what="nothing unfinished")


def test_records_instead_of_output(cli):
    lines = cli.out("map", "-k", "--jsonl", "echo", ":::", "a", "b").splitlines()
    assert [json.loads(line)["item"] for line in lines] == ["a", "b"]
    assert len(json.loads(cli.out("map", "--json", "echo", ":::", "a", "b"))) == 2
    assert cli.out("map", "-k", "--format", "{item}:{code}:{stdout.data}", "printf", ":::", "a", "b") == "a:0:a\nb:0:b\n"


def test_progress_on_a_terminal_only(cli):
    text, code = cli.terminal("map", "sleep", ":::", "0.3", "0.4").finish()
    assert code == 0
    assert re.search(r"\[#*\.*\] \d/2", text)
    assert text.endswith("\x1b[K")
    assert cli("map", "sleep", ":::", "0.2").stderr == b""
    text, code = cli.terminal("map", "sleep", ":::", "0.3", env={"TERM": "dumb"}).finish()
    assert (text, code) == ("", 0)


def test_wrong_usage(cli):
    assert "nothing to run" in cli.fails(64, "map", ":::", "a")
    assert "-0 is for items" in cli.fails(64, "map", "-0", "echo", ":::", "a")
    assert "from 1 to" in cli.fails(64, "map", "-j", "0", "echo", ":::", "a")
    assert "not UTF-8" in cli.fails(65, "map", "echo", input=b"\xff\n")
