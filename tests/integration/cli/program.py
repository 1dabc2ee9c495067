"""The stint program in an environment and a directory of its own, in pipes or on a pseudo-terminal."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import time

from harness import BIN, seconds

# What a shell starts in the background ignores SIGINT, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Cli:
    def __init__(self, home, **environment):
        self.home = home
        self.environment = {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "LANG": "C.UTF-8",
            **environment,
        }
        self.started = []

    def command(self, arguments):
        return [str(BIN / "stint"), *map(str, arguments)]

    def __call__(self, *arguments, input=b"", timeout=60, cwd=None, env=None, **more):
        """Runs to the end; standard input is a pipe with `input`, or /dev/null where that is None."""
        if isinstance(input, str):
            input = input.encode()
        source = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            self.command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd or self.home,
            env={**self.environment, **(env or {})}, timeout=seconds(timeout), **source, **more)

    def out(self, *arguments, **more):
        """The standard output of a call that must succeed."""
        done = self(*arguments, **more)
        assert done.returncode == 0, (arguments, done)
        return done.stdout.decode()

    def fails(self, code, *arguments, **more):
        """The standard error of a call that must exit with `code`."""
        done = self(*arguments, **more)
        assert done.returncode == code, (arguments, done)
        return done.stderr.decode()

    def begin(self, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=None, **more):
        """Starts it; `end` makes sure that it is gone."""
        process = subprocess.Popen(
            self.command(arguments), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=self.home,
            env={**self.environment, **(env or {})}, bufsize=0, **more)
        self.started.append(process)
        return process

    def terminal(self, *arguments, env=None, columns=100):
        one = Terminal(self.command(arguments), {**self.environment, "TERM": "xterm", **(env or {})}, self.home, columns)
        self.started.append(one)
        return one

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()


class Terminal:
    """A program whose three descriptors are a terminal."""

    def __init__(self, command, environment, cwd, columns):
        self.text = ""
        self.code = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(command[0], command, {**environment, "COLUMNS": str(columns)})

    def read_until(self, text, timeout=30):
        """Reads until `text` (None: until the end) has appeared; returns everything so far."""
        deadline = time.monotonic() + seconds(timeout)
        while text is None or text not in self.text:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], f"no {text!r} in {self.text!r}"
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                assert text is None, f"the end, and no {text!r} in {self.text!r}"
                break
            self.text += data.decode(errors="replace")
        return self.text

    def type(self, text):
        os.write(self.fd, text.encode())

    def finish(self):
        """Everything that it wrote, and its exit code."""
        self.read_until(None)
        return self.text, self.wait()

    def poll(self):
        return self.code

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.fd)
        return self.code


def read_until(process, text, timeout=30, stream="stdout"):
    """Reads a pipe of the process until `text` has appeared."""
    pipe = getattr(process, stream)
    seen = b""
    deadline = time.monotonic() + seconds(timeout)
    while text not in seen:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([pipe], [], [], left)[0], f"no {text!r} in {seen!r}"
        data = os.read(pipe.fileno(), 65536)
        assert data, f"the end, and no {text!r} in {seen!r}"
        seen += data
    return seen
