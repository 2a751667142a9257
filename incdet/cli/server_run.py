"""The run of `incdet serve`: an address is taken, networks are loaded, requests are served until it is stopped."""

import os
import socket
import sys
import time
from contextlib import suppress
from typing import NamedTuple, NoReturn

import numpy as np

from incdet.classifier import Classifier
from incdet.cli.console import INTERRUPTED, notes, warning
from incdet.cli.detection_batch import EnsembleChoice
from incdet.config.crop_counts import NumCrops
from incdet.config.sections import Config
from incdet.structures import Image
from incdet.web.access import is_loopback
from incdet.web.application import make_application
from incdet.web.listening import address_of
from incdet.web.server_limits import ServerLimits
from incdet.web.server_setup import ServerSetup
from incdet.web.serving import run_server

_LAST_SECONDS = 1.0
"""Time for the worker's photo to end after a second Ctrl-C."""


class ServerOptions(NamedTuple):
    """The options of the server itself.

    Attributes:
        host: Address to listen on, as it was given.
        token: Token that requests must bring; None asks for none.
        limits: Limits on what is taken.
        classifier: Weights of whole photos; none offer no classification.
        num_crops: Number of crops of a photo that is classified.
        quiet: Whether only warnings and errors are told.
    """

    host: str
    token: str | None
    limits: ServerLimits
    classifier: tuple[str, ...]
    num_crops: NumCrops
    quiet: bool


def run(listener: socket.socket, options: ServerOptions, ensemble: EnsembleChoice, config: Config) -> int:
    """Serves until the program is stopped, and returns the exit code.

    Args:
        listener: The socket, whose address was taken; it is closed at the end.
        options: The options of the server.
        ensemble: The networks that detect.
        config: Everything else that decides what is found.

    Raises:
        IncdetError: The weights or a setting cannot be used.
    """
    with listener:
        is_local = is_loopback(str(listener.getsockname()[0]))
        if not is_local:
            _warn_of_strangers(options)
        detector = ensemble.detector(config)
        if not options.quiet:
            notes.print(f"{detector.scorer.describe()} ({detector.engine.describe()})", markup=False)
        # kernels are compiled and networks take their memory before the first request waits for them
        detector.detect(Image(np.zeros((64, 64, 3), np.uint8)))
        classifier = None
        if options.classifier:
            classifier = Classifier.from_pretrained(*options.classifier, num_crops=options.num_crops, config=config)
        setup = ServerSetup(detector, classifier, options.limits, options.token, is_local)
        started = time.monotonic()

        def announce() -> None:
            if not options.quiet:
                notes.print(f"open {address_of(listener)} in a browser; Ctrl-C stops the server", markup=False)

        app = make_application(setup)
        try:
            # an interruption is how a server ends; requests that had begun are answered
            with suppress(KeyboardInterrupt):
                run_server(app, listener, options.limits, announce)
            if not options.quiet:
                notes.print(f"stopped; the server ran for {time.monotonic() - started:.0f} seconds", markup=False)
            app.state.worker.stop(_LAST_SECONDS)
        finally:
            if app.state.worker.is_alive():
                _leave_at_once()
    return 0


def _leave_at_once() -> NoReturn:
    """Ends the program while a thread computes, which the libraries of the networks would take for a crash."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(INTERRUPTED)


def _warn_of_strangers(options: ServerOptions) -> None:
    """Says who else can use a server that listens to other machines."""
    if options.token is None:
        warning(
            f"everybody who reaches {options.host} can use this server: there is no login; --token asks for a word, "
            "and --host 127.0.0.1 serves this machine alone"
        )
    else:
        warning(
            "photos and the token travel unencrypted; put a server with TLS in front where the network is not yours"
        )
