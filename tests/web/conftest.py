"""A server's application with one network and few proposals, loaded once for all tests of this folder."""

import pytest

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.web.server_limits import ServerLimits

LIMITS = ServerLimits(max_bytes=3_000_000)
SETTINGS = {
    "device": "cpu",
    "images": {"max_megapixels": 1.0},
    "proposals": {"methods": ["selective_search"], "selective_search": {"strategies": "single"}, "limit": 60},
    "scores": {"features": "shared", "engine": "torch"},
}


@pytest.fixture(scope="session")
def served_detector():
    return Detector.from_pretrained(config=make_config(Config, SETTINGS, "a test"))


@pytest.fixture(scope="session")
def client(served_detector):
    # the extra `web` brings the first, the extra `dev` the second
    pytest.importorskip("fastapi", reason="needs the extra web")
    pytest.importorskip("httpx2", reason="needs httpx2, which the extra dev brings")
    from starlette.testclient import TestClient

    from incdet.web.application import make_application
    from incdet.web.server_setup import ServerSetup

    app = make_application(ServerSetup(served_detector, limits=LIMITS))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as running:
        yield running


@pytest.fixture(scope="session")
def cat(chelsea_file):
    return chelsea_file.read_bytes()
