"""Tokens, names of hosts, and the headers of every response."""

import asyncio

import pytest

pytest.importorskip("fastapi", reason="needs the extra web")
pytest.importorskip("httpx2", reason="needs httpx2, which the extra dev brings")

from starlette.testclient import TestClient

from incdet.errors import OutputError, PackageError, WeightsError
from incdet.web.access import is_loopback
from incdet.web.application import make_application
from incdet.web.server_setup import ServerSetup


def client_of(detector, base="http://localhost", **setup):
    return TestClient(make_application(ServerSetup(detector, **setup)), base_url=base)


def test_a_token_is_asked_for_everywhere_but_for_the_page(served_detector):
    client = client_of(served_detector, "http://example.org", token="open sesame", is_local=False)
    for path in ("/v1/info", "/metrics", "/openapi.json", "/samples/chelsea.png"):
        refused = client.get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "no_token")
        assert refused.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer", "Bearer open", "Basic open sesame", "Bearer open sesame2", "Bearer \xe4"):
            assert client.get(path, headers={"Authorization": wrong.encode("latin-1")}).status_code == 401
        assert client.get(path, headers={"Authorization": "bearer open sesame"}).status_code == 200
    assert client.post("/v1/detect", content=b"x").status_code == 401
    assert [client.get(path).status_code for path in ("/", "/healthz", "/page/page.js")] == [200, 200, 200]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "", "127.0.0.1.evil.example"])
def test_a_local_server_does_not_answer_to_other_names(served_detector, host):
    """Otherwise a site could let its own name lead to this machine, and read what the server answers."""
    client = client_of(served_detector)
    assert client.get("/v1/info", headers={"Host": host}).status_code == 421
    assert client.get("/v1/info", headers={"Host": "[::1]:8000"}).status_code == 200


def test_a_server_of_a_network_answers_to_any_name(served_detector):
    assert client_of(served_detector, "http://example.org", is_local=False).get("/v1/info").status_code == 200


def test_pages_of_other_sites_send_no_photos(served_detector):
    """They could not read the results, but they could fill the queue of a server on the reader's own machine."""
    client = client_of(served_detector)
    for site, expected in (("cross-site", 403), ("same-site", 403), ("same-origin", 400), ("none", 400)):
        response = client.post("/v1/detect", headers={"Sec-Fetch-Site": site, "Origin": "http://x.example"})
        assert response.status_code == expected
    # a link on another site may lead here
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_mistakes_and_cancelled_requests_are_answered_as_all_errors(served_detector):
    app = make_application(ServerSetup(served_detector))

    @app.get("/mistake")
    async def mistake():
        raise RuntimeError("/secret/place")

    @app.get("/cancelled")
    async def cancelled():
        raise asyncio.CancelledError

    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    for path, expected in (("/mistake", (500, "mistake")), ("/cancelled", (503, "stopping"))):
        response = client.get(path)
        assert (response.status_code, response.json()["error"]["code"]) == expected
        assert "secret" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
    assert 'incdet_requests_total{path="/mistake",status="500"} 1' in client.get("/metrics").text


@pytest.mark.parametrize("kind", [WeightsError, PackageError, OutputError])
def test_faults_of_the_server_are_no_fault_of_an_option(served_detector, monkeypatch, kind):
    client = TestClient(
        make_application(ServerSetup(served_detector)), base_url="http://localhost", raise_server_exceptions=False
    )

    def fail(work):
        raise kind("cannot read /secret/place; get it again")

    monkeypatch.setattr("incdet.web.photo_requests.DetectionRequest.prepare", fail)
    response = client.post("/v1/detect", content=b"x")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "mistake")
    assert "secret" not in response.text


def test_head_tells_what_get_would(client):
    for path in ("/", "/healthz", "/v1/info"):
        assert client.head(path).status_code == 200
        assert client.head(path).headers["content-length"] == client.get(path).headers["content-length"]
    assert client.head("/v1/detect").status_code == 405


def test_the_page_may_load_nothing_from_elsewhere(client):
    for path in ("/", "/v1/info", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("host", "expected"), [("127.9.9.9", True), ("LOCALHOST.", True), ("::", False), ("10.0.0.1", False), ("", False)]
)
def test_addresses_of_this_machine(host, expected):
    assert is_loopback(host) is expected
