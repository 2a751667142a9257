"""Who hears that inner loops are being compiled, which takes a while once: nobody, unless somebody asks for it."""

from collections.abc import Callable

SENTENCE = "inner loops are compiled, which takes some ten seconds once"

_listener: Callable[[str], None] | None = None
_is_told = False


def listen_to_compilation(tell: Callable[[str], None] | None) -> None:
    """Has a function told the first time that this process, or one that it starts, has to compile.

    Args:
        tell: Takes the sentence; None listens no more.
    """
    global _listener
    _listener = tell


def tell_compilation() -> None:
    """Tells the listener, if there is one and nothing was told before."""
    global _is_told
    if _listener is not None and not _is_told:
        _is_told = True
        _listener(SENTENCE)
