"""The task http against a server of our own: what it sends, what it gives back, and how it fails."""

import base64
import json
import os
import resource
import socket
import subprocess
import time

import pytest
from harness import BIN, SANITIZED, Daemon, seconds, until
from http_server import HttpServer

BODY_MAX = 8 << 20
SHIM = BIN / "libhanging_names.so"
# No address by its form, and yet every system knows it (inet_aton), also one without /etc/hosts.
NAME = "127.1"


@pytest.fixture(scope="module")
def server():
    one = HttpServer()
    yield one
    one.close()


def ask(client, url, executor="coroutine", **args):
    """The result of a request that succeeds."""
    record = client.run(task="http", args={"url": url, **args}, executor=executor)
    assert record["outcome"] == "succeeded", record
    return record["result"] if "result" in record else client.call("job.spec", id=record["id"])["result"]


def failure(client, url, **args):
    record = client.run(task="http", args={"url": url, **args})
    assert record["outcome"] == "failed", record
    return record["error"]["kind"], record["error"]["message"]


@pytest.mark.parametrize("executor", ["coroutine", "thread", "process"])
def test_get(client, server, executor):
    result = ask(client, server.url + "/echo?a=b", executor)
    assert result["status"] == 200 and result["reason"] == "OK" and result["encoding"] == "utf8"
    assert result["headers"]["content-type"] == "application/json"
    assert 0 < result["seconds"] < seconds(10)
    assert json.loads(result["body"]) == {
        "method": "GET",
        "path": "/echo?a=b",
        "headers": {"Host": server.url[7:], "User-Agent": "stint/0.1.0", "Accept": "*/*", "Connection": "close"},
        "body": "",
    }


def test_the_arguments_may_be_the_url_itself(client, server):
    record = client.run(task="http", args=server.url + "/body/3")
    assert record["result"]["body"] == "xxx"


def told(client, server, **args):
    return json.loads(ask(client, server.url + "/echo", **args)["body"])


def test_post(client, server):
    as_json = told(client, server, json={"text": "hällo"}, headers={"Authorization": "Bearer t", "User-Agent": "mine"})
    assert as_json["method"] == "POST"
    assert json.loads(as_json["body"].encode("latin-1")) == {"text": "hällo"}
    assert as_json["headers"]["Content-Type"] == "application/json"
    assert as_json["headers"]["Authorization"] == "Bearer t" and as_json["headers"]["User-Agent"] == "mine"
    assert told(client, server, body="a=1")["body"] == "a=1"
    assert told(client, server, body={"base64": base64.b64encode(b"\xff\x00").decode()})["body"] == "\xff\x00"
    assert told(client, server, method="POST")["headers"]["Content-Length"] == "0"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods(client, server, method):
    answer = told(client, server, method=method, body="b")
    assert (answer["method"], answer["body"]) == (method, "b")


def test_head_has_no_body_whatever_its_length_says(client, server):
    result = ask(client, server.url + f"/body/{BODY_MAX + 1}", method="HEAD")
    assert result["headers"]["content-length"] == str(BODY_MAX + 1) and result["body"] == ""


def test_what_an_answer_may_look_like(client, server):
    assert ask(client, server.url + "/chunked/123456")["body"] == "c" * 123456
    assert ask(client, server.url + "/unsized/5000")["body"] == "u" * 5000
    assert ask(client, server.url + "/interim")["body"] == "after all"
    assert ask(client, server.url + "/status/204", expect=[204])["status"] == 204
    headers = ask(client, server.url + "/set")["headers"]
    assert headers["x-set"] == "a, b" and headers["x-latin"] == "\ufffd"
    binary = ask(client, server.url + "/binary")
    assert binary["encoding"] == "base64" and base64.b64decode(binary["body"]) == b"\x00\xff\xfe"


@pytest.mark.parametrize("form", ["body", "chunked", "unsized"])
def test_the_body_is_bounded(client, server, form):
    assert len(ask(client, f"{server.url}/{form}/20000", body_max=20000)["body"]) == 20000
    kind, message = failure(client, f"{server.url}/{form}/20001", body_max=20000)
    assert kind == "body_too_large"
    assert message == f"127.0.0.1 port {server.port}: the answer's body has more than 20000 bytes ('body_max', at most {BODY_MAX})"


def test_the_largest_body(client, server):
    assert len(ask(client, f"{server.url}/body/{1 << 20}")["body"]) == 1 << 20
    assert failure(client, f"{server.url}/body/{(1 << 20) + 1}")[0] == "body_too_large"
    assert len(ask(client, f"{server.url}/body/{BODY_MAX}", body_max=BODY_MAX)["body"]) == BODY_MAX
    assert failure(client, f"{server.url}/body/{BODY_MAX + 1}", body_max=BODY_MAX)[0] == "body_too_large"


def test_the_header_of_an_answer_is_bounded(client, server):
    bound = 64 << 10
    assert ask(client, f"{server.url}/header/{bound}")["status"] == 200
    kind, message = failure(client, f"{server.url}/header/{bound + 1}")
    assert kind == "malformed_answer" and message.endswith(f"the answer's header has more than {bound} bytes")
    assert failure(client, f"{server.url}/headers/100000")[0] == "malformed_answer"
    # What stands beside the chunks is not kept for ever either.
    assert ask(client, server.url + "/extension/10000")["body"] == "y"
    assert failure(client, f"{server.url}/extension/{1 << 20}")[0] == "malformed_answer"


def test_a_status_that_is_not_expected(client, server):
    assert failure(client, server.url + "/status/503") == ("unexpected_status", "status 503 Something: its body")
    assert failure(client, server.url + "/status/200", expect=[201, 202])[0] == "unexpected_status"
    assert ask(client, server.url + "/status/404", expect=404)["body"] == "its body"
    assert ask(client, server.url + "/status/500", expect="any")["status"] == 500
    assert failure(client, server.url + "/redirect") == (
        "unexpected_status", "status 302 Found, which points to /elsewhere (redirects are not followed)")
    assert ask(client, server.url + "/redirect", expect=302)["headers"]["location"] == "/elsewhere"


def test_nobody_listens(client):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert failure(client, f"http://127.0.0.1:{port}/") == (
        "not_connected", f"127.0.0.1 port {port}, connecting: Connection refused")


def test_nobody_accepts(client):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        queued = [socket.socket() for _ in range(4)]
        for one in queued:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        assert failure(client, f"http://127.0.0.1:{port}/", timeout=0.2) == (
            "timed_out", f"127.0.0.1 port {port}: not done within 0.2 s: it was connecting")
        for one in queued:
            one.close()


def test_no_such_name(client):
    kind, message = failure(client, "http://no-such-host.invalid/")
    assert kind == "not_resolved" and message.startswith("no-such-host.invalid: ")


def test_a_server_that_breaks_off_or_talks_nonsense(client, server):
    peer = f"127.0.0.1 port {server.port}"
    assert failure(client, server.url + "/nothing") == ("connection_lost", peer + ": it closed the connection without an answer")
    assert failure(client, server.url + "/cut") == ("connection_lost", peer + ": it closed the connection in the middle of its answer")
    kind, message = failure(client, server.url + "/rubbish")
    assert kind == "malformed_answer" and message.startswith(peer + ": the answer is not HTTP/1: ")


def test_an_answer_that_comes_before_all_was_sent(client, server):
    kind, message = failure(client, server.url + "/refuse", body="x" * (4 << 20))
    # The kernel may throw away what the server had said when it closed with bytes unread.
    assert (kind, message) == ("unexpected_status", "status 413 Content Too Large: too much") or (
        kind == "connection_lost" and "sending the request" in message), (kind, message)


@pytest.mark.parametrize("path", ["silent", "drip"])
def test_timeout(client, server, path):
    kind, message = failure(client, f"{server.url}/{path}", timeout=0.2)
    assert kind == "timed_out"
    assert message == f"127.0.0.1 port {server.port}: not done within 0.2 s: it was waiting for the answer"
    server.gone.get(timeout=seconds(10))


@pytest.mark.parametrize("executor", ["coroutine", "thread", "process"])
def test_cancel_in_the_middle(client, server, executor):
    path = f"/silent/0?{executor}"
    job = client.submit(task="http", args={"url": server.url + path, "timeout": 600}, executor=executor, grace=600)
    until(lambda: server.seen.get(timeout=seconds(10)) == path, what="the request")
    client.call("job.cancel", ids=[job])
    assert client.wait(job)[0]["outcome"] == "cancelled"
    server.gone.get(timeout=seconds(10))


def test_the_jobs_own_timeout(client, server):
    record = client.run(task="http", args=server.url + "/silent", timeout=0.2, grace=600)
    assert record["outcome"] == "timed_out"
    server.gone.get(timeout=seconds(10))


def test_arguments_are_named(client):
    assert failure(client, "gopher://h/")[0] == "invalid_args"
    assert failure(client, "http://h/", methid="GET") == ("invalid_args", "there is no argument 'methid'; did you mean 'method'?")
    task = next(task for task in client.call("task.list")["tasks"] if task["name"] == "http")
    assert [parameter["name"] for parameter in task["parameters"]][:2] == ["url", "method"]


def test_a_thousand_at_once(start, server):
    """Each is answered when all are there."""
    count, soft_hard = 1000, resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_hard[1] < 2 * count:
        pytest.skip(f"needs {2 * count} open files, and may have {soft_hard[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_hard[1], soft_hard[1]))
    try:
        daemon = start(open_files=soft_hard[1])
        client = daemon.connect()
        client.call("job.submit_many", group="meet", template={"task": "http"}, items=[f"{server.url}/meet/{count}"] * count)
        records = client.results(group="meet", fields=["outcome", "error"])
        assert [record["outcome"] for record in records] == ["succeeded"] * count, records[:3]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, soft_hard)


# ---- TLS


def certificate(folder, name, subject_names):
    """A certificate that signs itself: (certificate, key)."""
    files = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject_names}", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )
    return files


def test_https(start, tmp_path):
    right = certificate(tmp_path, "right", f"IP:127.0.0.1,DNS:{NAME}")
    wrong = certificate(tmp_path, "wrong", "DNS:elsewhere.example.com")
    stranger = certificate(tmp_path, "stranger", "IP:127.0.0.1")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(right[0].read_text() + wrong[0].read_text())
    daemon = start(environment={**os.environ, "SSL_CERT_FILE": str(trusted), "SSL_CERT_DIR": str(tmp_path)})
    client = daemon.connect()
    servers = [HttpServer(*files) for files in (right, wrong, stranger)]
    try:
        good, other, unknown = servers
        assert json.loads(ask(client, good.url + "/echo", json=1)["body"])["body"] == "1"
        assert ask(client, f"https://{NAME}:{good.port}/chunked/200000")["body"] == "c" * 200000
        assert ask(client, good.url + "/body/3", executor="process")["body"] == "xxx"
        kind, message = failure(client, unknown.url + "/echo")
        assert kind == "tls" and "its certificate is not trusted: self-signed certificate" in message
        kind, message = failure(client, other.url + "/echo")
        assert kind == "tls" and "not trusted: IP address mismatch" in message
        kind, message = failure(client, f"https://{NAME}:{other.port}/echo")
        assert kind == "tls" and "not trusted: hostname mismatch" in message
        assert ask(client, unknown.url + "/body/2", verify=False)["body"] == "xx"
        for path, kind in {"cut": "connection_lost", "nothing": "connection_lost", "rubbish": "malformed_answer"}.items():
            assert failure(client, f"{good.url}/{path}")[0] == kind
        assert failure(client, good.url + "/silent", timeout=0.2)[0] == "timed_out"
        # Plain and TLS do not understand each other.
        assert failure(client, good.url.replace("https", "http") + "/echo")[0] == "connection_lost"
        job = client.submit(task="http", args=good.url + "/silent/0", grace=600)
        until(lambda: good.seen.get(timeout=seconds(10)) == "/silent/0", what="the request")
        client.call("job.cancel", ids=[job])
        assert client.wait(job)[0]["outcome"] == "cancelled"
    finally:
        for one in servers:
            one.close()


def test_tls_with_a_server_that_speaks_plainly(client, server):
    kind, message = failure(client, server.url.replace("http", "https") + "/echo")
    assert kind == "tls" and "agreeing on TLS" in message


# ---- names that never get an answer


@pytest.mark.skipif(SANITIZED, reason="a sanitizer wants to be the first library of a process")
def test_a_name_server_that_hangs_holds_nothing_up(server):
    daemon = Daemon(environment={**os.environ, "LD_PRELOAD": str(SHIM)})
    client = daemon.connect()
    kind, message = failure(client, "http://a.hangs.test/", timeout=0.2)
    assert (kind, message) == ("timed_out", "a.hangs.test port 80: not done within 0.2 s: it was looking up its address")
    jobs = [client.submit(task="http", args={"url": f"http://{n}.hangs.test/", "timeout": 600}, executor=executor, grace=600)
            for n, executor in enumerate(["coroutine"] * 3 + ["thread"])]
    for job in jobs:
        client.until_state(job)
    assert ask(client, f"http://{NAME}:{server.port}/body/1")["body"] == "x"
    client.call("job.cancel", ids=jobs[:1])
    assert client.wait(jobs[0])[0]["outcome"] == "cancelled"
    begun = time.monotonic()
    daemon.stop()  # with lookups that never end
    assert time.monotonic() - begun < seconds(5)
