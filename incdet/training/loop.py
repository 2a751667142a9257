"""The training loop: draw a batch, forward, backward, step, average, log, checkpoint. Any task can use it."""

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from incdet.config import Section, Unit
from incdet.errors import IncdetError
from incdet.storage import write_text
from incdet.training.averaging import ParameterAverage
from incdet.training.checkpoints import load_checkpoint, save_checkpoint

Batch = TypeVar("Batch")


class OptimizationConfig(Section):
    """Stochastic gradient descent with momentum; the learning rate rises linearly, then falls as a half cosine.

    Attributes:
        steps: number of batches in all.
        batch_size: samples per step.
        learning_rate: highest rate of the layers that start from trained weights.
        new_layer_factor: the new layer learns this many times faster (R-CNN: 10).
        warmup_steps: steps until the highest rate.
        average_decay: of the parameter averaging.
        gradient_limit: gradients are scaled down to this norm at most.
    """

    steps: int = Field(ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(0.001, gt=0)
    new_layer_factor: float = Field(10.0, gt=0)
    momentum: Unit = 0.9
    weight_decay: float = Field(0.0002, ge=0)
    warmup_steps: int = Field(0, ge=0)
    average_decay: Unit = 0.998
    gradient_limit: float = Field(10.0, gt=0)

    def rate(self, step: int) -> float:
        """The share of the highest learning rate that is used at a step, in [0, 1]."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class NonFiniteLossError(IncdetError):
    """The loss became NaN or infinite; says at which step, and which term."""

    exit_code = 1


@dataclass(frozen=True)
class Schedule:
    """When the loop logs, stores its state and validates, in steps; 0 = never (validation: at the end only)."""

    log_every: int = 10
    checkpoint_every: int = 100
    validate_every: int = 0


@dataclass
class Task(Generic[Batch]):
    """What differs between trainings.

    Attributes:
        network: trained in place.
        new_parameters: those that learn faster, by prefix of their name.
        draw: step -> batch; depends on nothing but the step, so that resuming is exact.
        losses: network, batch -> named scalar terms; their sum is minimised.
        validate: network with averaged parameters -> named numbers for the log.
    """

    network: nn.Module
    new_parameters: tuple[str, ...]
    draw: Callable[[int], Batch]
    losses: Callable[[nn.Module, Batch], dict[str, Tensor]]
    validate: Callable[[nn.Module], dict[str, float]]


class Trainer(Generic[Batch]):
    """Trains a task; its whole state is in `folder`: `checkpoint.safetensors` and `log.jsonl`."""

    def __init__(self, task: Task[Batch], config: OptimizationConfig, schedule: Schedule, folder: Path, seed: int):
        self.task, self.config, self.schedule, self.folder, self.seed = task, config, schedule, folder, seed
        self.average = ParameterAverage(task.network, config.average_decay)
        self.optimizer = torch.optim.SGD(self._groups(), lr=config.learning_rate, momentum=config.momentum)
        self.step = 0

    def _groups(self) -> list[dict[str, Any]]:
        """Parameter groups: new and old layers, biases without decay."""
        groups = []
        for name, parameter in self.task.network.named_parameters():
            factor = self.config.new_layer_factor if name.startswith(self.task.new_parameters) else 1.0
            decay = 0.0 if name.endswith("bias") else self.config.weight_decay
            groups.append({"params": [parameter], "weight_decay": decay, "factor": factor})
        return groups

    def resume(self, configuration: dict[str, Any]) -> None:
        """Takes up the folder's checkpoint where there is one.

        Raises:
            WeightsError: the checkpoint is damaged or belongs to another configuration.
        """
        self.configuration = configuration
        file = self.folder / "checkpoint.safetensors"
        if file.exists():
            arguments = (self.task.network, self.optimizer, self.average, configuration)
            self.step = load_checkpoint(file, *arguments)
        self._cut_log()

    def checkpoint(self) -> None:
        """Stores the state after the last finished step."""
        file = self.folder / "checkpoint.safetensors"
        save_checkpoint(file, self.step, self.task.network, self.optimizer, self.average, self.configuration)

    def run(self, progress: Callable[[int, dict[str, Any]], None]) -> None:
        """Trains to the last step; when interrupted, stores the state and raises KeyboardInterrupt again.

        Args:
            progress: called after every step with the number of finished steps and the step's numbers.

        Raises:
            NonFiniteLossError: the loss is NaN or infinite.
        """
        started, seen = time.perf_counter(), 0
        totals: dict[str, float] = {}
        try:
            for batch in self._batches():
                terms = self._update(batch)
                self.step += 1
                seen += 1
                totals = {name: totals.get(name, 0.0) + value for name, value in terms.items()}
                if self._due(self.schedule.log_every):
                    seconds = time.perf_counter() - started
                    numbers = self._log_entry(totals, seen, seconds)
                    self._log(numbers)
                    started, seen, totals = time.perf_counter(), 0, {}
                progress(self.step, terms)
                if self._due(self.schedule.checkpoint_every):
                    self.checkpoint()
                if self._due(self.schedule.validate_every) or self.step == self.config.steps:
                    self._validate()
                    started = time.perf_counter()
        except KeyboardInterrupt:
            self.checkpoint()
            raise
        self.checkpoint()

    def _batches(self) -> Iterator[Batch]:
        """The batches from the current step on; the next one is prepared while this one is trained on."""
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.task.draw, self.step)
            for step in range(self.step, self.config.steps):
                batch = upcoming.result()
                if step + 1 < self.config.steps:
                    upcoming = pool.submit(self.task.draw, step + 1)
                yield batch

    def _update(self, batch: Batch) -> dict[str, float]:
        # dropout draws from the global generator: seeded per step, so that a resumed run draws the same
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        rate = self.config.rate(self.step) * self.config.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.task.network.train()
        losses = self.task.losses(self.task.network, batch)
        terms = {name: float(term.detach()) for name, term in losses.items()}
        for name, value in terms.items():
            if not math.isfinite(value):
                raise NonFiniteLossError(
                    f"training stopped at step {self.step}: the loss term '{name}' is {value}; lower the learning rate"
                )
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.task.network.parameters(), self.config.gradient_limit)
        self.optimizer.step()
        self.average.update(self.task.network, self.step)
        return terms

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self.config.steps)

    def _log_entry(self, totals: dict[str, float], count: int, seconds: float) -> dict[str, Any]:
        means = {name: round(total / count, 6) for name, total in totals.items()}
        rate = self.config.rate(self.step - 1) * self.config.learning_rate
        speed = round(count * self.config.batch_size / seconds, 2)
        return {"step": self.step, **means, "learning_rate": rate, "samples_per_second": speed}

    def _validate(self) -> None:
        with averaged_parameters(self.task.network, self.average):
            self._log({"step": self.step, **self.task.validate(self.task.network.eval())})

    def _cut_log(self) -> None:
        """Drops what was logged after the checkpoint was written: those steps will be taken again."""
        file = self.folder / "log.jsonl"
        if file.exists():
            lines = file.read_text().splitlines()
            whole = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= self.step]
            write_text(file, "".join(f"{line}\n" for line in whole))

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.folder / "log.jsonl").open("a") as stream:
            stream.write(json.dumps(entry) + "\n")


class averaged_parameters:  # noqa: N801 (a context manager reads like a function)
    """Within the block the network holds the averaged parameters; afterwards its own again."""

    def __init__(self, network: nn.Module, average: ParameterAverage):
        self.network, self.average = network, average

    def __enter__(self) -> None:
        self._own = {name: value.detach().clone() for name, value in self.network.named_parameters()}
        self._load(self.average.state())

    def __exit__(self, *_: object) -> None:
        self._load(self._own)

    @torch.no_grad()
    def _load(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self.network.named_parameters():
            value.copy_(tensors[name])
