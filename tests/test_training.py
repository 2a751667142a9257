"""The training loop and its samples: it goes on exactly where it stopped, and refuses what does not fit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from incdet import storage
from incdet.boxes import box_iou
from incdet.data.region_samples import RegionSampler, SamplingConfig, build_pool
from incdet.errors import OutputError, WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.averaging import ParameterAverage
from incdet.training.loop import NonFiniteLossError, OptimizationConfig, Schedule, Task, Trainer, averaged_parameters
from incdet.training.regions import replace_classifier

STEPS = 40
CONFIGURATION = {"seed": 3, "steps": STEPS}
SCRIPT = """
import sys, time
from pathlib import Path
from test_training import CONFIGURATION, make_trainer

def progress(step, terms):
    print(step, flush=True)
    time.sleep(float(sys.argv[2]))

trainer = make_trainer(Path(sys.argv[1]))
trainer.resume(CONFIGURATION)
trainer.run(progress)
"""


class TinyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.dropout, self.output = nn.Linear(6, 16), nn.Dropout(0.2), nn.Linear(16, 1)

    def forward(self, input):
        return self.output(self.dropout(torch.tanh(self.hidden(input))))


def draw(step):
    inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
    return inputs, inputs.sum(dim=1, keepdim=True)


def losses(network, batch):
    return {"squared_error": (network(batch[0]) - batch[1]).square().mean()}


def make_trainer(folder, steps=STEPS):
    torch.manual_seed(0)
    norm = lambda network: {"norm": float(network.output.weight.detach().norm())}  # noqa: E731
    task = Task(TinyNetwork(), ("output.",), draw, losses, norm)
    config = OptimizationConfig(steps=steps, batch_size=8, learning_rate=0.02, new_layer_factor=4, average_decay=0.9)
    return Trainer(task, config, Schedule(log_every=5, checkpoint_every=10), folder, seed=3)


def nothing(step, terms):
    """A progress callback that does not interrupt."""


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def state_of(folder):
    return load_file(folder / "checkpoint.safetensors")


def assert_identical(state, other):
    assert state.keys() == other.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]), name


def trained(folder, **more):
    trainer = make_trainer(folder, **more)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    return trainer


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    trained(folder)
    return folder


def interrupt_after(last):
    def progress(step, terms):
        if step == last:
            raise KeyboardInterrupt

    return progress


def test_the_loss_of_a_small_task_falls(uninterrupted):
    losses = [entry["squared_error"] for entry in log_of(uninterrupted) if "squared_error" in entry]
    assert losses[-1] < losses[0] / 4


def test_validation_sees_the_averaged_parameters_and_training_keeps_its_own(tmp_path):
    trainer = trained(tmp_path)
    seen = next(entry["norm"] for entry in log_of(tmp_path) if "norm" in entry)
    assert seen == pytest.approx(float(trainer.average.state()["output.weight"].norm()), abs=1e-6)
    assert seen != pytest.approx(float(trainer.task.network.output.weight.detach().norm()), abs=1e-4)


@pytest.mark.parametrize("stop", [1, 13, STEPS - 1])
def test_an_interrupted_run_ends_bit_for_bit_like_one_in_one_go(tmp_path, uninterrupted, stop):
    first = make_trainer(tmp_path)
    first.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt_after(stop))
    second = make_trainer(tmp_path)
    second.resume(CONFIGURATION)
    assert second.step == stop
    second.run(nothing)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))


def start_script(folder, pause):
    here = Path(__file__).parent
    (folder / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    command = [sys.executable, str(folder / "script.py"), str(folder), str(pause)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_process_ends_bit_for_bit_like_one_in_one_go(tmp_path, uninterrupted, how):
    process = start_script(tmp_path, pause=0.05)
    for line in process.stdout:
        if int(line) == 17:
            break
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == -how
    stopped = load_file(tmp_path / "checkpoint.safetensors")
    assert not torch.equal(stopped["network.output.weight"], state_of(uninterrupted)["network.output.weight"])
    again = start_script(tmp_path, pause=0)
    first = int(again.communicate(timeout=60)[0].split()[0])
    # checkpoints are due every 10 steps; an interrupted run stores its last step as well
    assert first == 11 if how == signal.SIGKILL else first >= 18
    assert_identical(state_of(tmp_path), state_of(uninterrupted))
    steps = [entry["step"] for entry in log_of(tmp_path) if "squared_error" in entry]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS


def test_the_log_is_cut_where_the_checkpoint_was_written(tmp_path):
    trained(tmp_path, steps=10)
    half_written = json.dumps({"step": 12, "squared_error": 1.0})[:-4]
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 12, "squared_error": 1.0}) + "\n" + half_written)
    make_trainer(tmp_path, steps=10).resume(CONFIGURATION)
    assert [entry["step"] for entry in log_of(tmp_path)] == [5, 10, 10]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_step_and_term(tmp_path, value):
    trainer = make_trainer(tmp_path)
    trainer.task.losses = lambda network, batch: (
        losses(network, batch) | {"penalty": torch.tensor(value if trainer.step == 3 else 0.0)}
    )
    trainer.resume(CONFIGURATION)
    with pytest.raises(NonFiniteLossError, match=f"step 3: the loss term 'penalty' is {value}"):
        trainer.run(nothing)
    assert all(parameter.isfinite().all() for parameter in trainer.task.network.parameters())


def refused(folder, configuration, *words):
    with pytest.raises(WeightsError) as caught:
        make_trainer(folder).resume(configuration)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_checkpoint_of_another_configuration_names_the_key_and_both_values(uninterrupted):
    refused(uninterrupted, CONFIGURATION | {"seed": 4}, "seed = 3", "4")
    refused(uninterrupted, CONFIGURATION | {"added": 1}, "added = None", "1")
    refused(uninterrupted, {"seed": 3}, "steps")


@pytest.mark.parametrize("content", [b"", b"no safetensors", None], ids=["empty", "text", "cut"])
def test_a_damaged_checkpoint_says_which_file_and_what_to_do(tmp_path, uninterrupted, content):
    whole = (uninterrupted / "checkpoint.safetensors").read_bytes()
    (tmp_path / "checkpoint.safetensors").write_bytes(whole[:-50] if content is None else content)
    refused(tmp_path, CONFIGURATION, "checkpoint.safetensors", "delete it")


def test_a_checkpoint_without_incdets_metadata_is_refused(tmp_path, uninterrupted):
    save_file(state_of(uninterrupted), tmp_path / "checkpoint.safetensors")
    refused(tmp_path, CONFIGURATION, "checkpoint.safetensors")


def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    trainer = trained(tmp_path, steps=10)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fdopen", full)
    with pytest.raises(OutputError, match="no space left"):
        trainer.checkpoint()
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.jsonl"]


def test_the_average_by_hand():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = ParameterAverage(network, decay=0.15)
    nn.init.constant_(network.weight, 2.0)
    average.update(network, 0)  # decay 1 / 10: 0.1 * 1 + 0.9 * 2
    assert average.state()["weight"].item() == pytest.approx(1.9)
    nn.init.constant_(network.weight, 3.0)
    average.update(network, 5)  # 6 / 15 is more than 0.15: 0.15 * 1.9 + 0.85 * 3
    assert average.state()["weight"].item() == pytest.approx(2.835)
    with averaged_parameters(network, average):
        assert network.weight.item() == pytest.approx(2.835)
    assert network.weight.item() == 3.0


def test_replacing_the_classifier_keeps_every_other_layer():
    initial = GoogLeNet(7)
    network = replace_classifier(initial, 21, dropout=0.3, seed=1)
    for name, value in network.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(value, initial.state_dict()[name]), name
    assert network.classifier.weight.shape == (21, 1024)
    assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not network.classifier.bias.any()
    assert network.dropout.p == 0.3
    same, other = (replace_classifier(initial, 21, 0.3, seed).classifier.weight for seed in (1, 2))
    assert torch.equal(network.classifier.weight, same)
    assert not torch.equal(same, other)


@pytest.fixture(scope="module")
def pool():
    boxes = np.array([[10, 10, 50, 50], [60, 60, 90, 90]], np.float32)
    truth = GroundTruth("a", 100, 100, boxes, np.array([0, 1]), np.array([False, True]))
    near = [[12, 10, 52, 50], [30, 10, 70, 50], [61, 60, 91, 90], [0, 60, 30, 100]]
    proposed = Proposals(np.array(near, np.float32), np.linspace(1, 0, 4, dtype=np.float32), np.full(4, "test"))
    other = GroundTruth("b", 100, 100, boxes[:1] + 20, np.array([2]), np.array([False]))
    return build_pool([truth, other], [proposed, proposed])


def test_the_pool_assigns_objects_and_leaves_out_regions_on_ignored_ones(pool):
    rows = list(zip(pool.images.tolist(), pool.boxes[:, 0].tolist(), pool.objects.tolist(), strict=True))
    first = [(0, 10, 0), (0, 12, 0), (0, 30, -1), (0, 0, -1)]
    assert rows == [*first, (1, 30, 2), (1, 12, -1), (1, 30, -1), (1, 61, -1), (1, 0, -1)]
    assert pool.object_classes.tolist() == [0, 1, 2]


def test_a_quarter_of_a_batch_covers_objects_and_the_rest_does_not(pool):
    rows, _ = RegionSampler(pool, 3, SamplingConfig()).draw(0, 64, seed=1)
    objects = {0: [[10, 10, 50, 50]], 1: [[30, 30, 70, 70]]}
    pairs = zip(pool.boxes[rows], pool.images[rows], strict=True)
    overlaps = np.array([box_iou(box[None], np.array(objects[int(image)]))[0, 0] for box, image in pairs])
    assert (overlaps[:16] >= 0.5).all()
    assert (overlaps[16:] < 0.5).all()
    assert len(rows) == 64


def test_a_draw_depends_on_seed_and_step_alone(pool):
    first, second = (RegionSampler(pool, 3, SamplingConfig()) for _ in range(2))
    first.draw(4, 64, seed=1)
    expected = first.draw(5, 64, seed=1)
    assert all(np.array_equal(*pair) for pair in zip(expected, second.draw(5, 64, seed=1), strict=True))
    for step, seed in ((6, 1), (5, 2)):
        assert not np.array_equal(expected[0], second.draw(step, 64, seed)[0])


def test_a_batch_has_the_targets_and_mirrored_crops_of_its_rows(pool):
    sampler = RegionSampler(pool, 3, SamplingConfig())
    pixels = np.random.default_rng(0).integers(0, 255, (2, 100, 100, 3), dtype=np.uint8)
    arguments = (lambda index: Image(pixels[index]), Preprocessing(), torch.device("cpu"))
    rows = np.array([4, 0, 2, 4])
    batch = sampler.batch(rows, np.array([True, False, False, False]), *arguments)
    assert batch.targets.tolist() == [2, 0, 3, 2]
    assert torch.allclose(batch.crops[0], batch.crops[3].flip(2), atol=0.05)
    alone = sampler.batch(rows[1:2], np.array([False]), *arguments)
    assert torch.allclose(batch.crops[1:2], alone.crops, atol=1e-3)
