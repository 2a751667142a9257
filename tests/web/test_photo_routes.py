"""The JSON API on a real photo: the same as Python says, every form, every wrong request in words."""

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest
from starlette.responses import JSONResponse

from incdet.data.yolo_labels import read_labels
from incdet.detections import Detections
from incdet.images import read_image
from incdet.output.writers import detections_from_json, proposals_json
from incdet.proposers.selective_search import group_all, make_frame
from incdet.structures import Image
from incdet.web import conversion_routes, json_work
from incdet.web.response_models import (
    DetectionsResponse,
    ErrorResponse,
    ExplanationsResponse,
    HierarchyResponse,
    InfoResponse,
    ProposalsResponse,
)
from incdet.web.result_formats import FormattedResult, format_detections

FAR = b'{"image": "a", "width": 1' + b"0" * 400 + b', "height": 9, "detections": []}'
"""A line of a photo of which nobody has heard."""

PICTURES = {"JPEG": "image/jpeg", "PNG": "image/png"}


def png(width, height):
    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height), "grey").save(file, "PNG")
    return file.getvalue()


def error_of(response):
    """Status and code of an error, whose sentence is one and names no place on the disk."""
    error = ErrorResponse.model_validate(response.json()).error
    assert "\n" not in error.message
    assert "/opt" not in error.message
    assert "site-packages" not in error.message
    return response.status_code, error.code


def test_detections_are_those_of_the_detector(client, served_detector, cat):
    image = read_image(cat)
    scores = served_detector.score(image, served_detector.propose(image))
    response = client.post("/v1/detect?name=cat.png", content=cat)
    assert response.status_code == 200
    line = response.json()
    DetectionsResponse.model_validate(line, extra="forbid")
    assert (line["image"], line["width"], line["height"]) == ("cat.png", 451, 300)
    assert "seconds" not in line
    everything = served_detector.select(scores, image)
    expected = everything[everything.scores >= 0.45]
    found = detections_from_json(line, served_detector.class_names)
    assert found.labels == expected.labels == ["cat"]
    assert np.allclose(found.boxes, expected.boxes, atol=0.01)
    assert np.allclose(found.scores, expected.scores, atol=1e-4)


def test_a_form_names_the_photo_and_options_select(client, cat):
    files = {"note": ("note.txt", b"hello"), "photo": ("C:\\private\\my cat.png", cat, "image/png")}
    query = "score_threshold=0.001&timing=true&max_per_image=2&classes=dog,cat&max_proposals=40&iou_threshold=1"
    line = client.post(f"/v1/detect?{query}", files=files).json()
    assert line["image"] == "my cat.png"
    assert len(line["detections"]) == 2
    assert {entry["label"] for entry in line["detections"]} <= {"cat", "dog"}
    assert list(line["seconds"]) == ["read", "proposals", "features", "regions", "scores", "detections"]


def test_every_form_of_detections_agrees_with_the_json(client, served_detector, cat, tmp_path):
    query = "score_threshold=0.1&name=cat.png"
    line = client.post(f"/v1/detect?{query}", content=cat).json()
    found = detections_from_json(line, served_detector.class_names)
    forms = {form: client.post(f"/v1/detect?{query}&format={form}", content=cat) for form in ("yolo", "picture")}
    for form in ("coco", "csv", "voc", "labelme", "cvat", "jsonl", "yolo"):
        forms[f"converted {form}"] = client.post(f"/v1/convert?format={form}", content=json.dumps(line))
    assert {response.status_code for response in forms.values()} == {200}
    assert forms["yolo"].text == forms["converted yolo"].text
    (tmp_path / "cat.txt").write_text(forms["yolo"].text)
    boxes, class_ids, _ = read_labels(tmp_path / "cat.txt", served_detector.class_names, 451, 300)
    assert np.allclose(boxes, found.boxes, atol=1e-3)
    assert class_ids.tolist() == found.class_ids.tolist()
    document = forms["converted coco"].json()
    assert [entry["score"] for entry in document["annotations"]] == [entry["score"] for entry in line["detections"]]
    assert forms["converted jsonl"].json() == line
    assert len(forms["converted csv"].text.splitlines()) == len(found) + 1
    assert forms["converted voc"].text.count("<object>") == len(found)
    assert forms["converted cvat"].text.count("<box ") == len(found)
    assert [shape["label"] for shape in forms["converted labelme"].json()["shapes"]] == found.labels
    picture = np.asarray(PIL.Image.open(io.BytesIO(forms["picture"].content)))
    assert forms["picture"].headers["content-type"] == "image/jpeg"
    assert picture.shape == (300, 451, 3)
    assert np.abs(picture.astype(int) - read_image(cat).pixels).max() > 100


@pytest.mark.parametrize(("route", "one_class"), [("detect", False), ("explain", False), ("explain", True)])
def test_what_a_request_leaves_out_has_its_part_in_the_other_scores(
    client, served_detector, astronaut_file, route, one_class
):
    """Small things are found beside a large person; whatever is left out, the scores are those of the detector."""
    image = read_image(astronaut_file)
    everything = served_detector.select(served_detector.score(image, served_detector.propose(image)), image)
    expected = everything[everything.scores >= 0.02]
    options = "score_threshold=0.02"
    if one_class:
        other = next(label for label in expected.labels if label != "person")
        expected = expected[np.array(expected.labels) == other]
        options += f"&classes={other}"
    line = client.post(f"/v1/{route}?{options}", content=astronaut_file.read_bytes()).json()
    assert [entry["label"] for entry in line["detections"]] == expected.labels
    assert [entry["score"] for entry in line["detections"]] == pytest.approx(expected.scores.tolist(), abs=1e-4)
    if route == "explain":
        assert len(line["explanations"]) == len(expected)
        assert min(entry["prominence_factor"] for entry in line["explanations"]) < 0.95


def test_explanations_belong_to_the_detections(client, served_detector, cat):
    line = client.post("/v1/explain?score_threshold=0.001", content=cat).json()
    ExplanationsResponse.model_validate(line)
    assert line["detections"][0]["label"] == "cat"
    assert len(line["explanations"]) == len(line["detections"])
    proposals = proposals_json(read_image(cat), served_detector.propose(read_image(cat)))["proposals"]
    assert line["proposals"] == proposals
    for entry in line["explanations"]:
        assert entry["proposal_box"] == proposals[entry["proposal"]]["box"]
        assert [network["name"] for network in entry["networks"]] == ["member 1"]
    best = line["explanations"][0]["networks"][0]["best"]
    assert (len(best), best[0]["label"]) == (5, "cat")
    assert line["explanations"][0]["num_suppressed"] >= len(line["explanations"][0]["suppressed"]) > 0


def test_proposals_and_one_hierarchy(client, served_detector, cat):
    response = client.post("/v1/propose?max_proposals=7", content=cat)
    ProposalsResponse.model_validate(response.json())
    expected = served_detector.propose(read_image(cat))[:7]
    boxes = np.array([entry["box"] for entry in response.json()["proposals"]], np.float32)
    assert np.array_equal(boxes, expected.boxes)
    line = client.post("/v1/hierarchy", content=cat).json()
    HierarchyResponse.model_validate(line)
    config = served_detector.config.proposals.selective_search
    first = group_all(make_frame(read_image(cat), config.width), config)[0]
    assert line["merges"] == first.hierarchies[0].merges.tolist()
    assert len(line["merges"]) + 1 == len(line["sizes"]) == len(line["colors"])
    assert sum(line["sizes"]) == line["width"] * line["height"]


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("/v1/detect", b"", (400, "no_photo")),
        ("/v1/detect", b"no photo", (422, "unreadable_photo")),
        ("/v1/detect", b"\xff\xd8\xff cut", (422, "unreadable_photo")),
        ("/v1/detect", png(2000, 1000), (413, "too_many_pixels")),
        ("/v1/detect", b"x" * 3_000_001, (413, "too_large")),
        ("/v1/detect?classes=kitten", b"x", (422, "bad_option")),
        ("/v1/detect?score_threshold=2", b"x", (422, "bad_option")),
        ("/v1/detect?path=/etc/passwd", b"x", (422, "bad_option")),
        ("/v1/propose?max_proposals=0", b"x", (422, "bad_option")),
        ("/v1/classify", b"x", (404, "not_offered")),
        ("/v1/convert", b"", (400, "no_lines")),
        ("/v1/convert", b"{", (422, "bad_line")),
        ("/v1/convert", b"[" * 100_000, (422, "bad_line")),
        ("/v1/convert", b"3", (422, "bad_option")),
        ("/v1/convert?format=pdf", b"{}", (422, "bad_option")),
        ("/v1/convert", b"[]", (422, "bad_option")),
        ("/v1/convert", b'{"image": "a", "width": 9, "height": 9, "detections": {}}', (422, "bad_option")),
        ("/v1/convert?format=yolo", b'{"image": "a", "width": 0, "height": 9, "detections": []}', (422, "bad_option")),
        ("/v1/convert?format=yolo", FAR, (422, "bad_option")),
        (
            "/v1/convert?format=csv",
            b'{"image": "\\ud800", "width": 9, "height": 9, "detections": []}',
            (422, "bad_option"),
        ),
        ("/v1/nothing", b"x", (404, "not_found")),
        ("/samples/..%2F..%2Fetc%2Fpasswd", b"x", (404, "not_found")),
    ],
)
def test_wrong_requests_are_told(client, path, content, expected):
    assert error_of(client.post(path, content=content)) == expected


def test_a_strip_is_too_long_for_a_picture(client, served_detector):
    def found_in(width):
        image = Image(np.zeros((1, width, 3), np.uint8), "strip.png")
        none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        return Detections("strip.png", width, 1, *none, served_detector.class_names), image

    assert format_detections(*found_in(65_500), "picture", False).media_type == "image/jpeg"
    refused = client.post("/v1/detect?format=picture", content=png(65_501, 1))
    assert error_of(refused) == (422, "bad_option")
    assert "65501x1" in refused.json()["error"]["message"]


def test_long_results_become_text_in_pieces_and_not_in_the_event_loop(client, cat, monkeypatch):
    line = {"name": "caf\xe9", "some": [], "many": [{"box": [number, 0.5]} for number in range(250)], "one": {"a": [1]}}
    lengths = []

    class Encoder(type(json_work._ENCODER)):
        def encode(self, value):
            lengths.append(len(value))
            return super().encode(value)

    encoder = Encoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    monkeypatch.setattr(json_work, "_ENCODER", encoder)
    assert json_work.json_bytes(line) == JSONResponse(line).body
    assert max(lengths) == 100
    threads = []

    def note(values):
        threads.append(threading.current_thread().name)
        return b"{}"

    monkeypatch.setattr(json_work, "json_bytes", note)
    response = client.post("/v1/propose", content=cat)
    assert (response.content, response.headers["content-type"]) == (b"{}", "application/json")
    assert threads == ["incdet photo worker"]


def test_a_name_that_is_no_text_is_sent_with_question_marks(client):
    line = b'{"image": "caf\\udce9.jpg", "width": 9, "height": 9, "detections": []}'
    found = client.post("/v1/convert?format=coco", content=line)
    assert found.status_code == 200
    assert found.json()["images"][0]["file_name"] == "caf\udce9.jpg"
    assert b"caf?.jpg" in client.post("/v1/convert?format=voc", content=line).content


def test_few_conversions_are_held_at_a_time(client, served_detector, monkeypatch):
    """Lines take many times their length in memory while they are turned into a file."""
    monkeypatch.setattr(conversion_routes, "MAX_LINES_BYTES", 100)
    assert error_of(client.post("/v1/convert", content=b" " * 101)) == (413, "too_large")
    num_running, most = 0, 0
    lock = threading.Lock()

    def convert(body, class_names, options):
        nonlocal num_running, most
        with lock:
            num_running += 1
            most = max(most, num_running)
        time.sleep(0.05)
        with lock:
            num_running -= 1
        return FormattedResult(body, "text/plain")

    monkeypatch.setattr(conversion_routes, "_convert", convert)
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda n: client.post("/v1/convert", content=f"{n}"), range(20)))
    assert most == 1
    assert {response.status_code for response in responses} == {200, 429}
    assert all(response.text == f"{n}" for n, response in enumerate(responses) if response.status_code == 200)
    assert client.post("/v1/convert", content=b"x").status_code == 200


def test_wrong_forms_are_told(client, cat):
    kind = {"Content-Type": "multipart/form-data"}
    assert error_of(client.post("/v1/detect", content=b"x", headers=kind)) == (400, "bad_form")
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert error_of(client.post("/v1/detect", content=b"garbage", headers=kind)) == (400, "bad_form")
    assert error_of(client.post("/v1/detect", data={"other": "x"}, files={"note": b""})) == (400, "no_photo")
    cut = b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\n' + cat[:100]
    assert client.post("/v1/detect", content=cut, headers=kind).status_code in (400, 422)
    assert error_of(client.get("/v1/detect")) == (405, "wrong_method")


def test_what_the_server_says_of_itself(client, served_detector, cat):
    info = InfoResponse.model_validate(client.get("/v1/info").json(), extra="forbid")
    assert tuple(entry.name for entry in info.classes) == served_detector.class_names
    assert info.limits.max_bytes == 3_000_000
    assert "/" not in client.get("/v1/info").text.replace("text/", "")
    assert client.get("/healthz").json() == {"status": "ok"}
    sample = client.get(f"/samples/{info.samples[0]}")
    assert sample.headers["content-type"] == "image/png"
    assert client.post("/v1/propose", content=cat).status_code == 200
    metrics = client.get("/metrics").text
    assert 'incdet_requests_total{path="/healthz",status="200"}' in metrics
    assert 'incdet_stage_seconds_count{stage="proposals"}' in metrics
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/detect", "/v1/explain", "/v1/propose", "/v1/hierarchy", "/v1/classify", "/v1/info"} <= paths.keys()
