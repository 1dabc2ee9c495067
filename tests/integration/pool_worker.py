"""A worker of a pool for tests: does what its message says. Standard library only, as small as a worker can be."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time

ANSWERED = 0


def write(text):
    os.write(1, text.encode())


def nest(job, attempt, depth):
    """Asks the same pool, from inside this job, and waits for it: how deep it came."""
    if depth == 0:
        return 0
    deeper = {"pool": os.environ["STINT_POOL"], "args": {"do": "nest", "depth": depth - 1}}
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(os.environ["STINT_SOCKET"])
        calls = [("job.enter", {"job": job, "attempt": attempt}), ("job.run", {"job": deeper})]
        for number, (method, params) in enumerate(calls):
            daemon.sendall(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n")
        answers = [json.loads(line) for _, line in zip(calls, daemon.makefile())]
    return 1 + answers[1]["result"]["result"]


def do(message, args):
    number = message["id"]
    what = args.get("do") if isinstance(args, dict) else None
    if what == "pid":
        return os.getpid()
    if what == "message":
        return message
    if what == "environment":
        return {name: value for name, value in os.environ.items() if name.startswith("STINT") or name == args.get("name")}
    if what == "count":
        return ANSWERED
    if what == "sleep":
        time.sleep(args["seconds"])
    if what == "say":
        os.write(2, args["text"].encode())
    if what == "cwd":
        return os.getcwd()
    if what == "progress":
        for value in args["values"]:
            write(json.dumps({"id": number, "progress": value, "text": f"at {value}"}) + "\n")
    if what == "fail":
        raise ValueError(args["message"])
    if what == "exit":
        os._exit(args["code"])
    if what == "crash":
        ctypes.string_at(0)
    if what == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(2, b"ignoring\n")
        time.sleep(300)
    if what == "hang":
        os.write(2, b"hanging\n")
        time.sleep(300)
    if what == "write":
        write(args["text"].replace("ID", str(number)))
        time.sleep(300)
    if what == "extra":
        write(json.dumps({"id": number, "result": "good"}) + "\n" + args["text"])
        return None
    if what == "flood":
        while True:
            os.write(1, b"x" * (1 << 20))
    if what == "close":
        os.close(1)
        time.sleep(300)
    if what == "strays":
        subprocess.Popen(["sleep", "300"])
        subprocess.Popen(["setsid", "-f", "sleep", "300"])
        if args.get("then") == "exit":
            os._exit(3)
    if what == "nest":
        return nest(number, message["attempt"], args["depth"])
    if what == "big":
        return "x" * args["bytes"]
    return args


for line in sys.stdin:
    message = json.loads(line)
    args = message["args"]
    try:
        result = do(message, args)
    except ValueError as error:
        answer = {"error": {"message": str(error), "kind": "ValueError", "data": {"args": error.args}}}
    else:
        answer = {"result": result}
    ANSWERED += 1
    if not (isinstance(args, dict) and args.get("do") == "extra"):
        write(json.dumps({"id": message["id"], **answer}) + "\n")
