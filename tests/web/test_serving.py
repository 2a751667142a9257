"""A real server on this machine: full queues, slow and huge clients, clients that go, a stop; no network computes."""

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

pytest.importorskip("fastapi", reason="needs the extra web")

from fastapi import FastAPI, Request, Response

from incdet.errors import ConfigurationError
from incdet.runtime.stopwatch import Stopwatch
from incdet.web import serving
from incdet.web.application import _answer_error
from incdet.web.listening import address_of, bind_socket
from incdet.web.photo_queue import PhotoQueue
from incdet.web.photo_worker import PhotoWorker
from incdet.web.request_errors import RequestError
from incdet.web.server_limits import ServerLimits
from incdet.web.server_metrics import ServerMetrics
from incdet.web.serving import _AnnouncingServer, make_config

LIMITS = ServerLimits(
    max_bytes=1_000_000, max_photos=4, upload_seconds=0.6, photo_seconds=15, header_seconds=0.5, max_connections=300
)


class Work:
    """Work that answers the length of the photo once it may."""

    def __init__(self, upload, release):
        self.upload, self.release, self.watch = upload, release, Stopwatch()

    def prepare(self):
        assert self.release.wait(20)

    def finish(self, scored):
        return {"length": len(self.upload.content)}


@contextmanager
def server_of(release, limits=LIMITS):
    """Yields port and queue of a server in a thread."""
    # no work asks for regions, so nothing is classified
    worker = PhotoWorker(lambda photos: iter([pytest.fail("regions") for _ in photos]))
    queue = PhotoQueue(worker, limits, ServerMetrics())
    app = FastAPI()
    app.add_exception_handler(RequestError, _answer_error)

    @app.post("/photo")
    async def photo(request: Request):
        return await queue.serve(request, lambda upload: Work(upload, release))

    @app.get("/much")
    async def much():
        return Response(b"x" * 3_000_000)

    @app.get("/healthz")
    async def health():
        return "ok"

    listener = bind_socket("127.0.0.1", 0)
    ready = threading.Event()
    server = _AnnouncingServer(make_config(app, limits), ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    assert ready.wait(20)
    try:
        yield listener.getsockname()[1], queue
    finally:
        release.set()
        server.should_exit = True
        thread.join(20)
        worker.stop()
        assert not thread.is_alive()


def post(port, content):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/photo", content)
    response = connection.getresponse()
    result = response.status, json.loads(response.read())
    connection.close()
    return result


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_uploads_at_once_get_their_own_result_or_429():
    release = threading.Event()
    with server_of(release) as (port, queue), ThreadPoolExecutor(200) as pool:
        uploads = [pool.submit(post, port, b"x" * (50_000 + number)) for number in range(200)]
        wait_for(lambda: sum(upload.done() for upload in uploads) == 200 - LIMITS.max_photos)
        assert queue.num_photos == LIMITS.max_photos
        release.set()
        results = [upload.result() for upload in uploads]
    assert sorted({status for status, _ in results}) == [200, 429]
    for number, (status, body) in enumerate(results):
        if status == 200:
            assert body == {"length": 50_000 + number}
        else:
            assert body["error"]["code"] == "busy"
    assert sum(status == 200 for status, _ in results) == LIMITS.max_photos
    assert queue.num_photos == 0


def test_a_photo_that_waits_behind_a_slow_one_is_asked_to_come_again():
    release = threading.Event()
    limits = replace(LIMITS, photo_seconds=0.2)
    with server_of(release, limits) as (port, queue), ThreadPoolExecutor(2) as pool:
        slow = pool.submit(post, port, b"x")
        wait_for(lambda: queue.num_photos == 1 and queue.worker.num_waiting == 0)
        waiting = pool.submit(post, port, b"y")
        told = [(status, body["error"]["code"]) for status, body in (slow.result(), waiting.result())]
    assert told == [(422, "too_slow"), (429, "busy")]


def test_huge_bodies_are_refused_before_they_are_read():
    release = threading.Event()
    release.set()
    with server_of(release) as (port, queue):
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(b"POST /photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nxx")
            assert b" 413 " in client.recv(100)
        # without a length, the pieces are counted
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(
                b"POST /photo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 20
            )
            assert b" 413 " in client.recv(100)
        assert queue.num_photos == 0


def test_slow_clients_are_sent_away():
    release = threading.Event()
    release.set()
    with server_of(release) as (port, queue):
        clients = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(3)]
        _, header, body = clients
        header.sendall(b"POST /photo HTTP/1.1\r\nHost: loc")
        body.sendall(b"POST /photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        assert b" 408 " in body.recv(100)
        # a byte now and then does not help
        for client in clients:
            _read_until_closed(client)
        assert queue.num_photos == 0
        assert post(port, b"xyz") == (200, {"length": 3})


def test_slow_readers_get_all_and_those_who_read_nothing_are_sent_away():
    release = threading.Event()
    release.set()
    with server_of(release) as (port, _):
        slow, idle = (_asking_for_much(port) for _ in range(2))
        num_bytes = 0
        while piece := slow.recv(400_000):
            num_bytes += len(piece)
            # more than twice the time for which a connection may be idle
            time.sleep(0.02)
        assert num_bytes > 3_000_000
        # what the system has taken for the client arrives, the rest does not
        num_bytes = 0
        try:
            while piece := idle.recv(100_000):
                num_bytes += len(piece)
        except OSError:
            pass
        assert 0 < num_bytes < 3_000_000


def _asking_for_much(port):
    """A client with a small buffer of its own that asks for a response of 3 MB."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
    client.settimeout(20)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /much HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return client


def test_too_much_that_nobody_reads_is_not_kept(monkeypatch):
    monkeypatch.setattr(serving, "MAX_UNSENT_BYTES", 7_000_000)
    release = threading.Event()
    release.set()
    limits = replace(LIMITS, header_seconds=10)
    with server_of(release, limits) as (port, _):
        clients = [_asking_for_much(port) for _ in range(5)]
        lengths = []
        for client in clients[::-1]:
            num_bytes = 0
            try:
                while piece := client.recv(100_000):
                    num_bytes += len(piece)
            except OSError:
                pass
            lengths.append(num_bytes)
        assert 1 <= sum(length > 3_000_000 for length in lengths) <= 3


def _read_until_closed(client):
    deadline = time.monotonic() + 20
    client.settimeout(0.1)
    while time.monotonic() < deadline:
        try:
            if not client.recv(1000):
                return
            client.sendall(b"x")
        except TimeoutError:
            continue
        except OSError:
            return
    raise AssertionError("the connection stays open")


def test_what_is_no_http_is_told_as_all_errors():
    release = threading.Event()
    release.set()
    with server_of(release) as (port, _):
        for request in (b"hello\r\n\r\n", b"GET /" + b"x" * 100_000):
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                client.sendall(request)
                # head and body may come one after the other
                response = http.client.HTTPResponse(client)
                response.begin()
                assert response.status == 400
                assert json.loads(response.read())["error"]["code"] == "bad_request"


def test_a_client_that_goes_gives_its_place_back():
    release = threading.Event()
    with server_of(release) as (port, queue):
        for _ in range(3 * LIMITS.max_photos):
            client = socket.create_connection(("127.0.0.1", port), 20)
            client.sendall(b"POST /photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nxyz")
            wait_for(lambda: queue.num_photos == 1)
            client.close()
            wait_for(lambda: queue.num_photos == 0)
        # the first one has begun, the others have left the queue
        assert queue.worker.num_waiting == 0
        release.set()
        assert post(port, b"xyz") == (200, {"length": 3})


def test_a_stop_answers_requests_that_have_begun():
    release = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with server_of(release) as (port, queue):
            answer = pool.submit(post, port, b"xyz")
            wait_for(lambda: queue.num_photos == 1)
        assert answer.result() == (200, {"length": 3})


def test_an_address_that_cannot_be_used_is_told():
    with bind_socket("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        assert address_of(listener) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConfigurationError, match="give another --port"):
            bind_socket("127.0.0.1", port)
    with pytest.raises(ConfigurationError, match="check --host"):
        bind_socket("no.such.host.invalid", 8000)
