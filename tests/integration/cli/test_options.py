"""Every option that makes a field of a job: what it says reaches the job, by each verb that hands jobs over."""

import re

import pytest
from harness import until

VERBS = ["submit", "run", "map"]

# The words, and what of the specification they make. Each job is `true` but where the words are the work themselves.
ROWS = [
    (["--name", "n"], {"name": "n"}),
    (["--tag", "a", "--tag", "b"], {"tags": ["a", "b"]}),
    (["--priority", "-3"], {"priority": -3}),
    (["--cwd", "/"], {"cwd": "/"}),
    (["--env", "A=b=c", "--env", "OWN", "--clean-env"], {"env": {"A": "b=c", "OWN": "here"}, "clean_env": True}),
    (["--timeout", "1m"], {"timeout": 60}),
    (["--grace", "2.5"], {"grace": 2.5}),
    (["--leftovers", "keep"], {"leftovers": "keep"}),
    (["--retry", "2"], {"retry": {"max": 2}}),
    (["--retry", "1000", "--retry-delay", "1m", "--retry-on", "lost", "--retry-on", "failed", "--retry-on", "lost"],
     {"retry": {"max": 1000, "delay": 60, "on": ["lost", "failed"]}}),
    (["--delay", "0.01"], {"delay": 0.01}),
    (["--delay", "10ms"], {"delay": 0.01}),
    (["--at", "12.5"], {"at": 12.5}),
    (["--expires", "2h"], {"expires": 7200}),
    (["--keep", "3d"], {"keep": 259200}),
    (["--lock", "x", "--lock", "y"], {"locks": ["x", "y"]}),
    (["--semaphore", "s", "--semaphore", "t=2"], {"semaphores": {"s": 1, "t": 2}}),
    (["--concurrency", "k=3"], {"concurrency": {"key": "k", "limit": 3}}),
    (["--daemon-job"], {"daemon": True}),
    (["--no-durable"], {"durable": False}),
    (["--stdin-file", "/dev/null"], {"stdin": {"file": "/dev/null"}}),
    (["--stdout-file", "/dev/null", "--stderr-file", "/dev/zero", "--append"],
     {"stdout": {"file": "/dev/null", "append": True}, "stderr": {"file": "/dev/zero", "append": True}}),
    (["--merge"], {"stderr": "stdout"}),
    (["--output-limit", "64K"], {"output_limit": 65536}),
    (["--shell", "exit 0"], {"shell": "exit 0"}),
    (["--task", "echo", "--args", '{"x": 1}', "--executor", "thread"], {"task": "echo", "args": {"x": 1}, "executor": "thread"}),
]
WORK = {"--shell", "--task"}

# What does not stand in the table, and why.
ELSEWHERE = {
    "--pool": "test_pools.py", "--group": "each test here", "--batch": "test_submit.py", "--stdin": "test_submit.py",
    "--json": "test_submit.py", "--no-start": "test_autostart.py", "--socket": "test_autostart.py", "--quiet": "says less",
}

REFUSED = [
    (["--retry-delay", "1"], "--retry-delay"),
    (["--retry-on", "lost"], "--retry-on"),
    (["--retry", "0"], "--retry"),
    (["--retry", "1001"], "--retry"),
    (["--retry", "1", "--retry-on", "never"], "--retry-on"),
    (["--retry", "1", "--retry-delay", "soon"], "--retry-delay"),
    (["--delay", "1", "--at", "1"], "--at"),
    (["--delay", "-1"], "--delay"),
    (["--at", "tomorrow"], "--at"),
    (["--expires", "x"], "--expires"),
    (["--keep", ""], "--keep"),
    (["--semaphore", "s=x"], "--semaphore"),
    (["--concurrency", "k"], "--concurrency"),
    (["--append"], "--append"),
    (["--merge", "--stderr-file", "/dev/null"], "--merge"),
    (["--env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
    (["--args", "1"], "--args"),
    (["--priority", "1001"], "--priority"),
    (["--leftovers", "x"], "--leftovers"),
    (["--output-limit", "x"], "--output-limit"),
]


@pytest.fixture(scope="module", autouse=True)
def semaphores(daemon):
    with daemon.connect() as client:
        for name in "st":
            client.call("semaphore.set", name=name, permits=2)


def test_every_option_stands_in_the_table(cli):
    named = {option for words, _ in ROWS for option in words if option.startswith("--")}
    offered = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", cli.out("submit", "--help"), re.MULTILINE))
    assert offered == named | set(ELSEWHERE)


# The items of map are the arguments.
CASES = [(verb, *row) for verb in VERBS for row in ROWS if verb != "map" or "--args" not in row[0]]


@pytest.mark.parametrize("verb, words, fields", CASES, ids=[f"{verb} {' '.join(words)}" for verb, words, _ in CASES])
def test_an_option_reaches_the_job(cli, client, verb, words, fields):
    group = f"{verb} {' '.join(words)}"
    work = [] if WORK & set(words) else ["--", "true"]
    done = cli(verb, "--group", group, *words, *work, *([":::", "1"] if verb == "map" else []), env={"OWN": "here"})
    assert done.returncode == 0, done
    (job,) = client.call("job.list", group=group)["jobs"]
    spec = client.call("job.spec", id=job["id"])
    for name, value in fields.items():
        found = spec[name]
        if name == "retry":  # what is not said has its default
            found = {key: found[key] for key in value}
        assert found == value, spec


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_refused(cli, verb):
    for words, named in REFUSED:
        message = cli.fails(64, verb, *words, "--", "true", *([":::", "1"] if verb == "map" else []))
        assert named in message, (words, message)


def test_retries_are_run(cli):
    script = 'echo "$STINT_ATTEMPT"; test "$STINT_ATTEMPT" = 3'
    assert cli.out("run", "--retry", "2", "--retry-delay", "0", "--shell", script) == "1\n2\n3\n"
    assert cli("run", "--retry", "1", "--retry-delay", "0", "--shell", script).returncode == 1
    assert cli("run", "--retry", "5", "--retry-on", "timed_out", "--shell", "exit 7").returncode == 7
    assert cli.out("map", "--retry", "2", "--retry-delay", "0", "--shell", script, ":::", "a") == "3\n"


def test_what_waits_for_its_time(cli, client):
    number = int(cli.out("submit", "--delay", "1h", "--", "true"))
    assert client.until_state(number, "waiting")["delay"] == 3600
    client.call("job.cancel", ids=[number])
    assert cli("run", "--delay", "1h", "--expires", "0.05", "--", "true").returncode == 125
    number = int(cli.out("submit", "--keep", "0", "--", "true"))
    until(lambda: cli("show", number).returncode != 0, what="the record to go")


def test_less_is_said(cli, client):
    assert re.fullmatch(r"\d+\n", cli.out("submit", "-q", "--", "true"))
    assert cli("run", "--quiet", "--", "true").stderr == b""
    assert cli.out("map", "--quiet", "--no-progress", "echo", ":::", "a") == "a\n"


def test_words_of_map(cli):
    assert cli.out("map", "--marker", "%", "echo", "<%>", ":::", "x") == "<x>\n"
    assert sorted(cli.out("map", "--null", "echo", input=b"a\0b\0").split()) == ["a", "b"]


def test_a_job_without_our_standard_input(cli):
    assert cli.out("run", "--no-stdin", "--", "cat", input="not this") == ""
    assert cli.out("run", "--", "cat", input="but this") == "but this"
