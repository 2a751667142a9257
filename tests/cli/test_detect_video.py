"""`incdet detect clip.mp4`: frames of a video as photos, and what keeps a video from being read."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from command_line import ONE, one_sentence

from incdet.cli.video_places import only_video
from incdet.errors import ConfigurationError, ImageError
from incdet.output.annotated_video import AnnotatedVideo
from incdet.pipeline.video_frames import Video

RATE = 10


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames: a cat, and the same cat moving to the left."""
    file = tmp_path_factory.mktemp("videos") / "clip.avi"
    chelsea = cv2.cvtColor(np.ascontiguousarray(skimage.data.chelsea()), cv2.COLOR_RGB2BGR)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (400, 300))
    assert writer.isOpened()
    for number in range(12):
        writer.write(np.ascontiguousarray(chelsea[:, number * 4 : number * 4 + 400]))
    writer.release()
    return file


def frames_of(file):
    capture = cv2.VideoCapture(str(file))
    frames = []
    while True:
        is_read, pixels_bgr = capture.read()
        if not is_read:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(pixels_bgr)


def test_every_nth_frame_is_read_with_its_time(clip):
    video = Video(str(clip), 5)
    assert (video.num_frames, video.frames_per_second) == (3, RATE)
    frames = list(video.frames())
    assert [frame.number for frame in frames] == [0, 5, 10]
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.5, 1.0], abs=0.01)
    assert frames[1].image.name == f"{clip}#5"
    # red and blue are not exchanged, up to what the codec loses
    expected = skimage.data.chelsea()[:, 20:420].astype(int)
    assert np.abs(frames[1].image.pixels.astype(int) - expected).mean() < 6
    assert video.failure is None


def test_detect_writes_lines_and_a_video_with_boxes(incdet, clip, tmp_path):
    code, out, err = incdet("detect", str(clip), *ONE, "--every", "6", "-o", "found", "--json", "-", "--timing")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["frame"], line["time"]) for line in lines] == [(0, 0.0), (6, pytest.approx(0.6, abs=0.01))]
    assert lines[0]["detections"][0]["label"] == "cat"
    assert (lines[0]["width"], lines[0]["height"]) == (400, 300)
    assert "seconds" in lines[0]
    assert (tmp_path / "found/detections.jsonl").read_text() == out
    run = json.loads((tmp_path / "found/run.json").read_text())
    assert (run["video"], run["every"]) == (str(clip), 6)
    frames, rate = frames_of(tmp_path / "found/clip.mp4")
    assert len(frames) == 2
    # as fast as before, with fewer frames
    assert rate == pytest.approx(RATE / 6, rel=0.01)
    assert "2 frames of" in err
    assert "cat in 2 frames" in err
    # nothing is overwritten
    code, _, err = incdet("detect", str(clip), *ONE, "-o", "found")
    assert code == 2
    assert "exists already" in one_sentence(err)


def test_places_of_a_video(incdet, clip, tmp_path, monkeypatch):
    """Without networks: what is written where."""
    from incdet.cli.output_options import OutputOptions
    from incdet.cli.video_places import choose_places

    monkeypatch.chdir(tmp_path)
    places = choose_places(str(clip), OutputOptions())
    assert [str(file) for file in places.all()] == [
        f"incdet-output/{name}" for name in ("clip.mp4", "detections.jsonl", "run.json")
    ]
    # a run that begins before the first one has written anything takes another folder
    other = choose_places("camera:1", OutputOptions())
    assert other.video == Path("incdet-output-2/camera-1.mp4")
    for taken in (places, other):
        taken.lock.release()
    assert not list(tmp_path.iterdir()), "nothing was written, so nothing stays"
    alone = choose_places(str(clip), OutputOptions(json_file="-"))
    assert (alone.all(), alone.to_stdout) == ([], True)
    named = choose_places(str(clip), OutputOptions(folder=tmp_path / "boxes.mp4", json_file="lines.jsonl"))
    assert [file.name for file in named.all()] == ["boxes.mp4", "lines.jsonl"]
    code, _, err = incdet("detect", str(clip), "--save", "image,csv")
    assert code == 2
    assert "--save knows no 'csv'" in one_sentence(err)
    code, _, err = incdet("detect", str(clip), "-o", str(clip), "--overwrite")
    assert code == 2
    assert "is the video itself" in one_sentence(err)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty|the file is empty"),
        (b"this is no video" * 100, "OpenCV finds no video in it"),
        (None, "there is no such file"),
    ],
)
def test_files_that_are_no_video_are_one_sentence(incdet, tmp_path, content, words):
    file = tmp_path / "bad.mp4"
    if content is not None:
        file.write_bytes(content)
    code, _, err = incdet("detect", str(file), *ONE, "--json", "-")
    assert code == 1
    assert any(word in one_sentence(err) for word in words.split("|"))
    assert not list(tmp_path.glob("incdet-output*"))


def test_a_video_without_frames_and_one_that_was_cut_off(clip, tmp_path, monkeypatch):
    cut = tmp_path / "cut.avi"
    content = clip.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    video = Video(str(cut))
    assert len(list(video.frames())) < 9
    if video.num_frames:
        assert "the rest is damaged or cut off" in video.failure
    # a codec that is missing: the file opens, and no frame comes out of it
    video = Video(str(clip))
    monkeypatch.setattr(video, "_capture", NoFrames(video._capture))
    with pytest.raises(ImageError, match=r"no frame can be decoded; .* missing here \('MJPG'\); convert it"):
        list(video.frames())


class NoFrames:
    """A video whose frames cannot be decoded."""

    def __init__(self, capture):
        self.get = capture.get

    def grab(self):
        return False


def test_arguments_that_do_not_belong_together(incdet, clip, photo):
    for arguments, words in (
        (["detect", str(clip), str(photo)], "is detected in by itself"),
        (["detect", str(photo), "--every", "2"], "--every belongs to a video"),
        (["detect", str(clip), "--workers", "2"], "--workers"),
        (["detect", str(clip), "--members", "9"], "9 members"),
    ):
        code, _, err = incdet(*arguments)
        assert code == 2
        assert words in one_sentence(err)
    code, _, err = incdet("detect", str(clip), "--every", "0")
    assert code == 2
    # typer and click word it differently
    assert "Invalid value for '--every'" in err
    with pytest.raises(ConfigurationError):
        only_video(["camera:0", "camera:1"])
    code, _, err = incdet("detect", "camera:99", *ONE, "--json", "-")
    assert code == 1
    assert "no such camera" in one_sentence(err)


def test_a_missing_camera_is_told_without_words_of_opencv():
    command = [sys.executable, "-m", "incdet", "detect", "camera:99", *ONE, "--json", "-"]
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_LOG_LEVEL"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: cannot open camera:99")


def test_a_video_takes_frames_of_several_sizes_and_tells_what_it_cannot_encode(tmp_path):
    video = AnnotatedVideo(tmp_path / "new/boxes.avi", 0)
    video.add(np.full((60, 80, 3), 200, np.uint8))
    video.add(np.full((30, 40, 3), 100, np.uint8))
    assert not (tmp_path / "new/boxes.avi").exists()
    video.close()
    video.close()
    frames, rate = frames_of(tmp_path / "new/boxes.avi")
    assert [frame.shape for frame in frames] == [(60, 80, 3)] * 2
    assert rate == 10
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["boxes.avi"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_video_that_a_full_disk_cuts_off_is_no_result(tmp_path):
    """OpenCV writes in silence to a disk that is full; a limit on the size of files does the same."""
    program = """
import pathlib, resource, signal
import numpy as np
from incdet.output.annotated_video import AnnotatedVideo
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
video = AnnotatedVideo(pathlib.Path("boxes.mp4"), 10)
for number in range(20):
    video.add(np.random.default_rng(number).integers(0, 256, (240, 320, 3), np.uint8))
video.close()
"""
    program = f"import sys; sys.path[:0] = {sys.path!r}" + program
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "OutputError: cannot write boxes.mp4" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_an_interruption_keeps_what_was_found(clip, tmp_path):
    program = f"import sys; sys.path[:0] = {sys.path!r}; from incdet.cli.app import main; main()"
    command = [sys.executable, "-c", program, "detect", str(clip), *ONE, "-o", "found"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ)
    lines = tmp_path / "found/detections.jsonl"
    until = time.monotonic() + 120
    while not (lines.exists() and lines.read_text().count("\n")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    kept = [json.loads(line) for line in lines.read_text().splitlines()]
    assert 1 <= len(kept) <= 12
    assert "--overwrite begins again from the first frame" in err
    assert "is not done twice" not in err, "that holds for photos"
    frames, _ = frames_of(tmp_path / "found/clip.mp4")
    assert len(kept) <= len(frames) <= len(kept) + 1
