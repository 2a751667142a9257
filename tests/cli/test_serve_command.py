"""`incdet serve` as a program: what it refuses at once, and how it stops while it computes."""

import http.client
import io
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("fastapi", reason="needs the extra web")

from incdet.cli.serve_command import require_usable_token
from incdet.errors import ConfigurationError


@pytest.mark.parametrize("token", ["", " ", " word", "word ", "wörd", "a\nb"])
def test_tokens_that_no_request_can_bring_are_refused(token):
    with pytest.raises(ConfigurationError, match="INCDET_TOKEN"):
        require_usable_token(token)
    require_usable_token("open sesame")


@pytest.mark.parametrize("option", ["--photo-seconds", "--upload-seconds", "--max-megabytes"])
def test_a_limit_that_is_no_number_is_refused(incdet, option):
    code, _, err = incdet("serve", option, "nan")
    assert code == 2
    assert f"Invalid value for '{option}'" in err


@pytest.mark.slow
def test_a_second_interruption_stops_at_once_and_without_a_traceback():
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)
    photo = io.BytesIO()
    PIL.Image.fromarray(noise).save(photo, "JPEG")
    command = [sys.executable, "-m", "incdet", "serve", "--port", "0", "--preset", "fast"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        # the test waits for the program at the end of this block, however it ends
        last_resort = threading.Timer(60, server.kill)
        last_resort.start()
        lines = server.stderr.readline() + server.stderr.readline()
        port = int(re.search(r"http://127.0.0.1:(\d+)", lines)[1])
        answers = []

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/v1/detect", photo.getvalue())
            answers.append(connection.getresponse().status)

        clients = [threading.Thread(target=ask) for _ in range(6)]
        for client in clients:
            client.start()
        _wait_for_photos(port, 6)
        server.send_signal(signal.SIGINT)
        threading.Timer(0.3, server.send_signal, [signal.SIGINT]).start()
        told = server.stderr.read()
        for client in clients:
            client.join(20)
        last_resort.cancel()
    assert "Traceback" not in told
    assert "terminate called" not in told
    assert server.returncode in (0, 130)
    assert len(answers) == 6
    assert set(answers) <= {200, 503}


def _wait_for_photos(port, count):
    for _ in range(2000):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/metrics")
        if f"incdet_photos {count}\n" in connection.getresponse().read().decode():
            return
    raise AssertionError("the photos do not arrive")
