"""Errors of requests: a status of HTTP, a short code for programs, and one sentence for people."""

from incdet.errors import ConfigurationError, DataError, ImageError, PhotoSizeError

CLIENT_ERRORS = (ImageError, ConfigurationError, DataError)
"""Errors of incdet that a photo or an option causes. All others are faults of the server, such as its weights."""


class RequestError(Exception):
    """A request that cannot be served.

    Args:
        status: Status of HTTP.
        code: Word for programs, such as "too_large".
        message: One sentence: the attempt, the finding, advice.
        headers: Further headers of the response; None is none.

    Attributes:
        status, code, message, headers: The arguments.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def request_error_of(error: Exception) -> RequestError | None:
    """Returns the request's error for one of `CLIENT_ERRORS`; None for any other, which is a mistake of the server."""
    if isinstance(error, RequestError):
        return error
    # reading names the source of a photo that came as bytes
    message = str(error).replace("bytes", "the photo", 1)
    if isinstance(error, PhotoSizeError):
        return RequestError(413, "too_many_pixels", message)
    if isinstance(error, ImageError):
        return RequestError(422, "unreadable_photo", message)
    if isinstance(error, CLIENT_ERRORS):
        return RequestError(422, "bad_option", message)
    return None


def stopping_error() -> RequestError:
    """Returns the error about a server that stops."""
    return RequestError(503, "stopping", "the server stops; try again when it has started again")


def mistake_error() -> RequestError:
    """Returns the error about a mistake of the server itself, which tells nothing of its disk."""
    return RequestError(500, "mistake", "the server made a mistake, which its log describes")


def busy_error(num_places: int) -> RequestError:
    """Returns the error about a full queue.

    Args:
        num_places: Number of photos that the server takes at a time.
    """
    return RequestError(
        429,
        "busy",
        f"the server has {num_places} photos at hand and takes no more; try again in a moment",
        {"Retry-After": "1"},
    )
