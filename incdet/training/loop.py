"""The training loop: draw a batch, forward, backward, step, average, log, checkpoint. Any task can use it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from incdet.errors import IncdetError, WeightsError
from incdet.runtime.distributed import Processes
from incdet.training.averaging import ParameterAverage, averaged_network
from incdet.training.checkpoints import load_checkpoint, save_checkpoint
from incdet.training.interruption import Interruption
from incdet.training.optimization import LearningRate, OptimizationConfig, parameter_groups
from incdet.training.run_log import RunLog

Batch = TypeVar("Batch")


class NonFiniteLossError(IncdetError):
    """The loss or its gradient became NaN or infinite; says at which step, which term, and for which images."""

    exit_code = 1


@dataclass(frozen=True)
class Schedule:
    """When the loop logs, stores its state and validates, in steps; 0 = never (validation: at the end only).

    Attributes:
        validate_without_averaging: also judge the parameters as they are; these numbers end in "_without_averaging".
    """

    log_every: int = 10
    checkpoint_every: int = 100
    validate_every: int = 0
    validate_without_averaging: bool = False


@dataclass
class Task(Generic[Batch]):
    """What differs between trainings.

    Attributes:
        network: trained in place.
        new_layers: those that learn faster, by the beginning of their name.
        epoch_size: samples that are one pass over the data.
        batches: the steps to come -> their batches; a batch depends on nothing but its step and the process, so that
            resuming is exact.
        losses: network, batch -> named terms [B], one value per sample; the sum of their means is minimised.
        names: what a batch's samples are called, for messages.
        validate: network -> named numbers for the log.
    """

    network: nn.Module
    new_layers: tuple[str, ...]
    epoch_size: int
    batches: Callable[[range], Iterator[Batch]]
    losses: Callable[[nn.Module, Batch], dict[str, Tensor]]
    names: Callable[[Batch], Sequence[str]]
    validate: Callable[[nn.Module], dict[str, float]]


def prefetched(draw: Callable[[int], Batch]) -> Callable[[range], Iterator[Batch]]:
    """`Task.batches` of a function of the step: the next batch is drawn while this one is trained on."""

    def batches(steps: range) -> Iterator[Batch]:
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(draw, steps[0])
            for step in steps:
                batch = upcoming.result()
                if step != steps[-1]:
                    upcoming = pool.submit(draw, step + 1)
                yield batch

    return batches


class _Window:
    """The steps since the last line of the log."""

    def __init__(self) -> None:
        self.steps, self._totals = 0, dict[str, float]()
        self._started = time.perf_counter()

    def add(self, terms: dict[str, float]) -> None:
        self.steps += 1
        self._totals = {name: self._totals.get(name, 0.0) + value for name, value in terms.items()}

    def means(self) -> dict[str, float]:
        return {name: round(total / self.steps, 6) for name, total in self._totals.items()}

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    def pause(self, other_work: Callable[[], None]) -> None:
        """Does what takes time without being training."""
        before = time.perf_counter()
        other_work()
        self._started += time.perf_counter() - before


class Trainer(Generic[Batch]):
    """Trains a task; its whole state is in `folder`: `checkpoint.safetensors` and `log.jsonl`.

    Args:
        task: what is trained on what.
        config: how.
        schedule: when to log, store and validate.
        folder: of the run.
        seed: of dropout.
        processes: the others that train the same network, if any.
        tensorboard: write TensorBoard's events, too.

    Raises:
        PackageError: TensorBoard is wanted and not installed.
    """

    def __init__(
        self,
        task: Task[Batch],
        config: OptimizationConfig,
        schedule: Schedule,
        folder: Path,
        seed: int,
        processes: Processes | None = None,
        tensorboard: bool = False,
    ) -> None:
        self.task, self.config, self.schedule, self.folder, self.seed = task, config, schedule, folder, seed
        self.processes = processes or Processes()
        self.samples_per_step = config.batch_size * self.processes.count
        self.learning_rate = LearningRate(config, task.epoch_size / self.samples_per_step)
        self.average = ParameterAverage(task.network, config.average_decay)
        groups = parameter_groups(task.network, task.new_layers, config)
        self.optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
        self.device = next(task.network.parameters()).device
        self.log = RunLog(folder, tensorboard) if self.processes.leads else None
        self.step = 0

    @property
    def steps(self) -> int:
        """Length of the run."""
        return self.learning_rate.steps

    def resume(self, configuration: dict[str, Any]) -> None:
        """Takes up the folder's checkpoint where there is one.

        Args:
            configuration: all that decides the result; a checkpoint of another one is refused. The number of
                processes may change between them as long as they take equally large steps together.

        Raises:
            WeightsError: the checkpoint is damaged or belongs to another configuration, or not all processes see it.
        """
        self.configuration = configuration | {"samples_per_step": self.samples_per_step}
        file = self.folder / "checkpoint.safetensors"
        if file.exists():
            arguments = (self.task.network, self.optimizer, self.average, self.configuration)
            self.step = load_checkpoint(file, *arguments)
        if len(steps := set(self.processes.gather([str(self.step)]))) > 1:
            raise WeightsError(
                f"the processes would go on from different steps ({', '.join(sorted(steps))}): not all of them see the "
                f"same {file}; put the output folder on a disk that all machines share"
            )
        if self.log is not None:
            self.log.resume(self.step)

    def checkpoint(self) -> None:
        """Stores the state after the last finished step."""
        if self.processes.leads:
            file = self.folder / "checkpoint.safetensors"
            save_checkpoint(file, self.step, self.task.network, self.optimizer, self.average, self.configuration)

    def run(self, progress: Callable[[int, dict[str, float]], None]) -> None:
        """Trains to the last step; when interrupted, stores the state and raises KeyboardInterrupt again.

        Whoever does not wait for the end of the step, and interrupts again, loses what came after the last checkpoint.

        Args:
            progress: called after every step with the number of finished steps and the step's loss terms.

        Raises:
            NonFiniteLossError: the loss or its gradient is NaN or infinite.
        """
        interruption = Interruption(alone=self.processes.count == 1)
        try:
            with interruption:
                self._run(progress, interruption)
        except KeyboardInterrupt:
            # a step that was cut off is repeated from the checkpoint before it
            if not interruption.cut_step:
                self.checkpoint()
            raise
        self.checkpoint()

    def _run(self, progress: Callable[[int, dict[str, float]], None], interruption: Interruption) -> None:
        network = self.processes.parallel(self.task.network, self.device)
        # a run that was interrupted during a validation makes up for it
        self._validate_if_due()
        window = _Window()
        for batch in self.task.batches(range(self.step, self.steps)) if self.step < self.steps else ():
            with interruption.step():
                terms = self._update(network, batch)
                self.step += 1
                window.add(terms)
                if self._due(self.schedule.log_every):
                    self._log_terms(window)
                    window = _Window()
            if self.processes.any(interruption.requested):
                raise KeyboardInterrupt
            progress(self.step, terms)
            if self._due(self.schedule.checkpoint_every):
                window.pause(self.checkpoint)
            window.pause(self._validate_if_due)

    def _update(self, network: nn.Module, batch: Batch) -> dict[str, float]:
        # dropout draws from the global generator: seeded per step, so that a resumed run draws the same
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        rate = self.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.task.network.train()
        losses = self.task.losses(network, batch)
        means = {name: values.mean() for name, values in losses.items()}
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(means.values())).sum().backward()  # type: ignore[no-untyped-call]
        # read after the backward pass has been asked for: a GPU computes it meanwhile
        terms = self.processes.mean(means)
        self._check_finite(terms, losses, batch)
        norm = nn.utils.clip_grad_norm_(self.task.network.parameters(), self.config.gradient_limit)
        if not norm.isfinite():
            raise NonFiniteLossError(
                f"training stopped at step {self.step}: the gradient of a finite loss is {norm.item()}; lower the "
                "learning rate"
            )
        self.optimizer.step()
        self.average.update(self.task.network, self.step)
        return terms

    def _check_finite(self, terms: dict[str, float], losses: dict[str, Tensor], batch: Batch) -> None:
        """Compares the same numbers in every process, so that all of them stop."""
        for term, value in terms.items():
            if math.isfinite(value):
                continue
            values, names = losses[term].detach().cpu(), self.task.names(batch)
            mine = [name for name, finite in zip(names, values.isfinite().tolist(), strict=True) if not finite]
            found = self.processes.gather(mine)
            share = f" for {len(found)} of {self.samples_per_step} images, such as {', '.join(found[:3])}"
            raise NonFiniteLossError(
                f"training stopped at step {self.step}: the loss term '{term}' is {value}{share if found else ''}; "
                "lower the learning rate, or look at the images if it is always the same ones"
            )

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self.steps)

    def _log_terms(self, window: _Window) -> None:
        if self.log is not None:
            speed = round(window.steps * self.samples_per_step / window.seconds, 2)
            rate = self.learning_rate(self.step - 1)
            self.log.add({"step": self.step, **window.means(), "learning_rate": rate, "samples_per_second": speed})

    def _validate_if_due(self) -> None:
        if self.step == 0 or not (self._due(self.schedule.validate_every) or self.step == self.steps):
            return
        if self.log is not None and not self.log.validated(self.step):
            numbers = self.task.validate(averaged_network(self.task.network, self.average).eval())
            if self.schedule.validate_without_averaging:
                own = self.task.validate(self.task.network.eval())
                numbers |= {f"{name}_without_averaging": value for name, value in own.items()}
            self.log.add({"step": self.step, **numbers})
        self.processes.wait()
