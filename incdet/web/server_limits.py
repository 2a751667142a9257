"""The limits that keep a server's memory and time bounded, whatever it is sent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Limits of a server. The largest photo in pixels is a setting, `images.max_megapixels`.

    Attributes:
        max_bytes: Largest body of a request, in bytes.
        max_photos: Number of photos that the server holds at a time: those that are uploaded, wait or are computed.
        upload_seconds: Longest time in which a body must arrive.
        photo_seconds: Longest time between the arrival of a photo and its result.
        header_seconds: Longest time that a connection may be open without a whole request.
        max_connections: Number of connections that are open at a time; further ones are closed at once.
    """

    max_bytes: int = 32_000_000
    max_photos: int = 16
    upload_seconds: float = 20.0
    photo_seconds: float = 60.0
    header_seconds: float = 10.0
    max_connections: int = 500
