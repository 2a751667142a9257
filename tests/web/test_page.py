"""The page: its files fit together and load nothing from elsewhere; a real browser uses it where there is one."""

import json
import re
import shutil
import threading
from pathlib import Path

import pytest

import incdet.web

PAGE = Path(incdet.web.__file__).parent / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def test_every_element_that_scripts_use_is_on_the_page():
    ids = set(re.findall(r'\bid="([\w-]+)"', (PAGE / "index.html").read_text()))
    used = {name for file in SCRIPTS for name in re.findall(r'byId\("([\w-]+)"\)', file.read_text())}
    assert used
    assert used <= ids
    labelled = set(re.findall(r'\b(?:for|aria-labelledby)="([\w-]+)"', (PAGE / "index.html").read_text()))
    assert labelled <= ids


def test_the_page_leads_only_to_what_needs_no_token():
    """The browser sends no token with a link; scripts send it."""
    pytest.importorskip("starlette", reason="needs the extra web")
    from incdet.web.access import OPEN_FOLDERS, OPEN_PATHS

    paths = re.findall(r'\b(?:href|src)="([^"]*)"', (PAGE / "index.html").read_text())
    assert "/page/page.js" in paths
    assert [path for path in paths if not (path in OPEN_PATHS or path.startswith((*OPEN_FOLDERS, "#")))] == []
    assert 'send("/openapi.json")' in (PAGE / "api.js").read_text()


def test_scripts_import_what_there_is():
    for file in SCRIPTS:
        for names, other in re.findall(r'import \{([^}]*)\} from "\./(\w+\.js)"', file.read_text()):
            exported = (PAGE / other).read_text()
            for name in names.split(","):
                pattern = rf"export (?:async )?(?:function|const|class) {name.strip()}\b"
                assert re.search(pattern, exported), f"{file.name}: {other} has no {name}"


def test_nothing_comes_from_other_hosts_and_no_text_becomes_markup():
    for file in PAGE.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file.name


@pytest.fixture
def address(served_detector):
    """A server in a thread of this process."""
    pytest.importorskip("fastapi", reason="needs the extra web")
    from incdet.web.application import make_application
    from incdet.web.listening import address_of, bind_socket
    from incdet.web.server_limits import ServerLimits
    from incdet.web.server_setup import ServerSetup
    from incdet.web.serving import _AnnouncingServer, make_config

    ready, limits = threading.Event(), ServerLimits()
    listener = bind_socket("127.0.0.1", 0)
    server = _AnnouncingServer(make_config(make_application(ServerSetup(served_detector)), limits), ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    assert ready.wait(30)
    yield address_of(listener)
    server.should_exit = True
    thread.join(30)


@pytest.mark.slow
def test_a_browser_finds_the_cat_tells_why_and_downloads(address, chelsea_file):
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 400, "height": 800}, color_scheme="dark")
        page.set_default_timeout(60_000)
        requests, errors = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.set_input_files("#file-field", chelsea_file)
        page.wait_for_selector("#boxes .box")
        page.locator("#detection-table button").first.click()
        assert page.text_content("#why-heading").startswith("Why cat")
        with page.expect_download() as download:
            page.get_by_role("button", name="COCO").click()
        document = json.loads(Path(download.value.path()).read_text())
        assert [image["file_name"] for image in document["images"]] == ["chelsea.png"]
        page.locator("#threshold").fill("0.99")
        page.get_by_role("radio", name="Proposals").check()
        assert re.fullmatch(r"\d+ of \d+", page.text_content("#proposal-text"))
        page.get_by_role("radio", name="Hierarchy").check()
        page.wait_for_selector("#hierarchy:not([hidden])")
        # nothing is wider than the window
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        browser.close()
    assert errors == []
    assert all(url.startswith((address, "blob:", "data:")) for url in requests)
