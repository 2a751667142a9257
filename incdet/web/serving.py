"""Running an application by uvicorn: connections that send nothing, and a stop that finishes what has begun."""

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from incdet.web.server_limits import ServerLimits

STOP_SECONDS = 15
"""Time in which requests that have begun may end when the server stops."""

KEEP_ALIVE_SECONDS = 5
"""Time for which a connection without a request stays open."""

BACKLOG = 256
"""Number of connections that the system holds until they are accepted."""

MIN_BYTES_PER_SECOND = 10_000
"""Speed at which a client must take its response."""

SEND_BUFFER = 128_000
"""Bytes of a response that the system takes from the server at a time. It tells how far a client is only after a good
part of them, and takes megabytes by itself, so that a client on a slow line would seem to take nothing for a minute."""

MAX_UNSENT_BYTES = 256_000_000
"""Bytes of responses that wait for slow clients at a time; the client that brings more of them is sent away."""


def run_server(app: FastAPI, listener: socket.socket, limits: ServerLimits, on_start: Callable[[], None]) -> None:
    """Serves until the process is told to stop; requests that have begun are finished.

    Args:
        app: The application.
        listener: The socket, bound.
        limits: Times and numbers of connections.
        on_start: Called once the server takes requests.

    Raises:
        KeyboardInterrupt: The process was told to stop, and the server has stopped.
    """
    # what is wrong with a form is told to its sender, not to the server's log
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # a second Ctrl-C ends what runs, which is no error
    logging.getLogger("uvicorn.error").addFilter(lambda record: "CancelledError" not in record.getMessage())
    _AnnouncingServer(make_config(app, limits), on_start).run(sockets=[listener])


def make_config(app: FastAPI, limits: ServerLimits) -> uvicorn.Config:
    """Returns uvicorn's settings."""

    def make_protocol(*arguments: Any, **options: Any) -> H11Protocol:
        return BoundedProtocol(limits, *arguments, **options)

    return uvicorn.Config(
        app,
        http=make_protocol,  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


class _AnnouncingServer(uvicorn.Server):
    """A server that tells when it takes requests."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen."""
        await super().startup(sockets)
        self._on_start()


class BoundedProtocol(H11Protocol):
    """HTTP on one connection, which is closed when nothing happens on it for too long.

    uvicorn waits without end for the headers of a request, for what is left of a body whose request has been answered,
    and for clients to take their responses, so that clients that send or take a byte now and then could hold any number
    of connections and responses. A client that takes its response slowly, but not slower than `MIN_BYTES_PER_SECOND`,
    gets all of it.

    Args:
        limits: Seconds without a request, and number of connections.
    """

    def __init__(self, limits: ServerLimits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._idle_since = 0.0
        self._num_unsent = 0
        self._has_drained = False
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to watch a connection, or closes one too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._idle_since = self.loop.time()
        self._watch = self.loop.call_later(self._limits.header_seconds, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the watch."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Notes when the connection was last without a request, and sends clients away that leave too much unread."""
        self._idle_since = self.loop.time()
        self._num_unsent = self.transport.get_write_buffer_size()
        if self._num_unsent > 0:
            sizes = [other.transport.get_write_buffer_size() for other in self.connections]
            if sum(sizes) > MAX_UNSENT_BYTES:
                self.transport.abort()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP in the form of all errors, and closes the connection."""
        error = {"code": "bad_request", "message": f"{msg.lower().rstrip('.')}; send HTTP/1.1 with a shorter address"}
        body = json.dumps({"error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        response = h11.Response(status_code=400, headers=[*headers, (b"connection", b"close")], reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def resume_writing(self) -> None:
        """Notes that the client has taken most of what waited for it."""
        self._has_drained = True
        super().resume_writing()

    def _close_idle(self) -> None:
        """Closes the connection where nothing has happened on it for too long, and looks again later."""
        now = self.loop.time()
        if now >= self._idle_since + self._limits.header_seconds:
            num_unsent = self.transport.get_write_buffer_size()
            if not self._is_active(num_unsent):
                self.transport.abort()
                return
            self._idle_since, self._num_unsent, self._has_drained = now, num_unsent, False
        left = self._idle_since + self._limits.header_seconds - now
        self._watch = self.loop.call_later(max(left, 0.05), self._close_idle)

    def _is_active(self, num_unsent: int) -> bool:
        """Whether a request is under way, or its client takes the response fast enough.

        Args:
            num_unsent: Number of bytes that the client has not taken yet.
        """
        if num_unsent == 0:
            return self.cycle is not None and not self.cycle.response_complete
        # a response that has begun after the last look is given time until the next one
        has_just_begun = self._num_unsent == 0
        num_taken = self._num_unsent - num_unsent
        return has_just_begun or self._has_drained or num_taken >= MIN_BYTES_PER_SECOND * self._limits.header_seconds
