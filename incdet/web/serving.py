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
    """HTTP on one connection, which is closed when it stays without a whole request for too long.

    uvicorn waits without end for the headers of a request, and for what is left of a body whose request has been
    answered, so that clients that send a byte now and then could hold any number of connections.

    Args:
        limits: Seconds without a request, and number of connections.
    """

    def __init__(self, limits: ServerLimits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._idle_since = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to watch a connection, or closes one too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            transport.abort()
            return
        self._idle_since = self.loop.time()
        self._watch = self.loop.call_later(self._limits.header_seconds, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the watch."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Notes when the connection was last without a request."""
        self._idle_since = self.loop.time()
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

    def _close_idle(self) -> None:
        """Closes the connection where no request is under way for too long, and looks again later."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if is_busy:
            self._idle_since = self.loop.time()
        left = self._idle_since + self._limits.header_seconds - self.loop.time()
        if left <= 0:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(max(left, 0.05), self._close_idle)
