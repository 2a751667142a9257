"""Who may use a server: a token where one was given, and only this machine's names where it listens to this machine."""

import asyncio
import hmac
import ipaddress
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from incdet.web.request_errors import RequestError, mistake_error, stopping_error

LOOPBACK_NAMES = ("localhost", "localhost.localdomain")

OPEN_PATHS = ("/", "/healthz")
"""Paths that need no token: the page itself, which asks for one, and the sign of life."""

OPEN_FOLDERS = ("/page/",)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every response: the page loads nothing from elsewhere, and no other site embeds it."""


def is_loopback(host: str) -> bool:
    """Whether an address or name is that of this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in LOOPBACK_NAMES


def host_name(header: str) -> str:
    """Returns the name in a `Host` header, without the port.

    >>> host_name("localhost:8000"), host_name("[::1]:8000"), host_name("example.org")
    ('localhost', '[::1]', 'example.org')
    """
    name, _, port = header.rpartition(":")
    return name if name and (port.isdecimal() or not port) else header


class AccessCheck:
    """Refuses requests that may not use the server, adds `HEADERS`, and counts responses.

    A server on this machine alone without a token refuses requests under other names: a web site could have its own
    name lead to this machine, and its pages could then send photos here and read the results. Pages of other sites
    could also send photos without reading results, and so fill the queue; browsers say where such requests come from.

    Args:
        app: The application behind it.
        token: Token that requests must bring; None asks for none.
        is_local: Whether the server listens to this machine alone.
        count: Function that is told path and status of every response.
    """

    def __init__(self, app: ASGIApp, token: str | None, is_local: bool, count: Callable[[str, int], None]) -> None:
        self.app, self.token, self.is_local, self.count = app, token, is_local, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # the same as GET; what runs the server leaves the body out
            scope = {**scope, "method": "GET"}
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
                route = scope.get("route")
                self.count(getattr(route, "path", "other"), message["status"])
            await send(message)

        error = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        if error is not None:
            await error_response(error)(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # the server was told to stop a second time, or has waited long enough for this request
            if not has_started:
                await error_response(stopping_error())(scope, receive, send_with_headers)
        except Exception:
            # the error itself is written to the server's log, and may hold paths
            if not has_started:
                await error_response(mistake_error())(scope, receive, send_with_headers)
            raise

    def _refusal(self, method: str, path: str, headers: Headers) -> RequestError | None:
        """Returns why a request is refused; None where it is not."""
        if method == "POST" and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return RequestError(403, "other_site", "the server takes no photos from pages of other sites; open its own")
        if self.token is None:
            if self.is_local and not is_loopback(host_name(headers.get("host", ""))):
                return RequestError(
                    421, "wrong_host", "the server answers requests to this machine only; start it with --token"
                )
            return None
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # the time of the comparison tells nothing about the token
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode()):
            return None
        return RequestError(
            401,
            "no_token",
            "the server asks for a token; send the header Authorization: Bearer TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )


def error_response(error: RequestError) -> JSONResponse:
    """Returns the response that tells an error."""
    content = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(content, error.status, error.headers)
