"""The address of a server, taken before networks are loaded, so that one that is taken is told at once."""

import errno
import socket

from incdet.errors import ConfigurationError, reason


def bind_socket(host: str, port: int) -> socket.socket:
    """Takes an address.

    Args:
        host: Address or name of the interface.
        port: Port; 0 takes any free one.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        advice = "another program has it; give another --port" if is_taken else "check --host and --port"
        raise ConfigurationError(f"cannot listen on {host}, port {port}: {reason(error)}; {advice}") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Returns the address of a server as a browser takes it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
