"""Forked processes: the threads of native libraries do not survive a fork, so that a fork waits for them forever."""

import os


class ProcessMark:
    """Remembers the process in which an object was made."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type["ProcessMark"], tuple[()]]:
        """An object that another process has unpickled was made there."""
        return ProcessMark, ()

    def require_same(self, what: str) -> None:
        """Makes sure that this is still the same process.

        Args:
            what: The object, for the message: "a detector".

        Raises:
            RuntimeError: This process is a fork of the one that made the object.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                f"{what} made in process {self._process} cannot work in its fork, because the threads of native "
                "libraries do not survive a fork; start processes by spawn"
            )
