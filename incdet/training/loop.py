"""The training loop: take a batch, forward, backward, step, average, log, checkpoint. It trains any task."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from incdet.errors import IncdetError, WeightsError
from incdet.networks.run_folders import CHECKPOINT_FILE
from incdet.runtime.counted_words import counted
from incdet.runtime.distributed import Processes
from incdet.runtime.reporter import say_nothing
from incdet.training.averaging import ParameterAverage, averaged_network
from incdet.training.checkpoints import load_checkpoint, save_checkpoint
from incdet.training.interruption import Interruption
from incdet.training.optimization import LearningRate, OptimizationConfig, parameter_groups
from incdet.training.run_log import LogWindow, RunLog
from incdet.training.schedule import Schedule

Progress = Callable[[int, dict[str, float]], None]
"""Takes the number of finished steps and the loss terms of the last one."""


SEED_LIMIT = 2**63
"""Number below which torch's seeds lie."""


def nothing_more() -> None:
    """Does nothing when all steps are taken."""


class NamedBatch(Protocol):
    """A batch whose samples have names for messages."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the B samples."""


Batch = TypeVar("Batch", bound=NamedBatch)


class NonFiniteLossError(IncdetError):
    """The loss or its gradient is NaN or infinite; the message names the step, the term and the samples."""

    exit_code = 1


def state_without_auxiliary_heads(network: nn.Module) -> dict[str, Tensor]:
    """Returns the network's state; the auxiliary classifiers have done their work when training ends."""
    return {name: value for name, value in network.state_dict().items() if not name.startswith("auxiliary_")}


@dataclass
class Task(Generic[Batch]):
    """The part of a training that differs from other trainings.

    Attributes:
        network: the network, which is trained in place.
        new_layers: beginnings of the names of the layers that learn faster.
        epoch_size: number of samples that make one pass over the data.
        batches: steps to come -> their batches. A batch depends on nothing but its step and the process, so that
            resuming is exact.
        losses: network and batch -> named terms [B], one value per sample; the sum of their means is minimised.
        validate: network -> named numbers for the log.
        num_validation: number of samples that a validation judges the network on.
        weights: network -> the tensors that are stored as its weights, by their names in the file.
    """

    network: nn.Module
    new_layers: tuple[str, ...]
    epoch_size: int
    batches: Callable[[range], Iterator[Batch]]
    losses: Callable[[nn.Module, Batch], dict[str, Tensor]]
    validate: Callable[[nn.Module], dict[str, float]]
    weights: Callable[[nn.Module], dict[str, Tensor]] = state_without_auxiliary_heads
    num_validation: int = 0


class Trainer(Generic[Batch]):
    """Trains a task; its whole state is in two files of its folder, `checkpoint.safetensors` and `log.jsonl`.

    Args:
        task: the task.
        config: length, size and rate of the steps.
        schedule: times of logging, storing and validating.
        folder: folder of the run.
        seed: seed of dropout.
        processes: the processes that train the same network; None is this one alone.
        tensorboard: whether TensorBoard's events are written, too.
        tell: takes a sentence about whatever takes a while besides the steps.
        command: name of the training on the command line, which is stored with checkpoints.

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
        tell: Callable[[str], None] = say_nothing,
        command: str = "",
    ) -> None:
        self.tell, self.command = tell, command
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
        """Number of steps of the whole run."""
        return self.learning_rate.steps

    @property
    def _checkpoint_file(self) -> Path:
        return self.folder / CHECKPOINT_FILE

    def resume(self, configuration: dict[str, Any]) -> None:
        """Restores the state of the folder's checkpoint, where there is one.

        Args:
            configuration: every setting that decides the result; a checkpoint of another configuration is refused. The
                number of processes may change between runs as long as they take equally large steps together.

        Raises:
            WeightsError: the checkpoint is damaged or belongs to other data, or not all processes see it.
            ConfigurationError: it was written under other settings, or for another number of steps.
        """
        self.configuration = configuration | {"samples_per_step": self.samples_per_step}
        if self._checkpoint_file.exists():
            self.step = load_checkpoint(
                self._checkpoint_file, self.task.network, self.optimizer, self.average, self.configuration, self.steps
            )
        steps = set(self.processes.gather([str(self.step)]))
        if len(steps) > 1:
            raise WeightsError(
                f"the processes would go on from different steps ({', '.join(sorted(steps))}): not all of them see the "
                f"same {self._checkpoint_file}; put the output folder on a disk that all machines share"
            )
        if self.log is not None:
            self.log.resume(self.step)

    def checkpoint(self) -> None:
        """Stores the state after the last finished step."""
        if self.processes.leads:
            save_checkpoint(
                self._checkpoint_file,
                self.step,
                self.task.network,
                self.optimizer,
                self.average,
                self.configuration,
                {"steps": str(self.steps), "command": self.command},
            )

    def run(self, progress: Progress, finished: Callable[[], None] = nothing_more) -> None:
        """Trains to the last step; when interrupted, stores the state and raises KeyboardInterrupt again.

        A second interruption does not wait for the end of the step, and loses the steps since the last checkpoint.

        Args:
            progress: called after every step.
            finished: called when all steps are taken, before the last validation, which an error may end.

        Raises:
            NonFiniteLossError: the loss or its gradient is NaN or infinite.
        """
        interruption = Interruption(self.processes.count == 1, self.tell if self.processes.leads else say_nothing)
        try:
            with interruption:
                self._run(progress, interruption, finished)
        except KeyboardInterrupt:
            # a step that was cut off is repeated from the checkpoint before it
            if not interruption.cut_step:
                self.checkpoint()
            raise
        self.checkpoint()

    def _run(self, progress: Progress, interruption: Interruption, finished: Callable[[], None]) -> None:
        network = self.processes.parallel(self.task.network, self.device)
        # a run that was interrupted during a validation makes up for it
        self._validate_if_due(finished)
        if self.step >= self.steps:
            return
        window = LogWindow()
        for batch in self.task.batches(range(self.step, self.steps)):
            # the update, its count and its line in the log belong together: a signal waits for the end of the block
            with interruption.step():
                terms = self._update(network, batch)
                self.step += 1
                window.add(terms)
                if self._is_due(self.schedule.log_every):
                    self._log_terms(window)
                    window = LogWindow()
            if self.processes.any(interruption.requested):
                raise KeyboardInterrupt
            progress(self.step, terms)
            if self._is_due(self.schedule.checkpoint_every):
                window.pause(self.checkpoint)
            window.pause(partial(self._validate_if_due, finished))

    def _update(self, network: nn.Module, batch: Batch) -> dict[str, float]:
        """Takes one step and returns its loss terms, averaged over all processes."""
        # dropout draws from the global generator: seeded per step, so that a resumed run draws the same
        torch.manual_seed((self.seed * 1_000_003 + self.step) % SEED_LIMIT)
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
        # the limit keeps single wild batches from moving the parameters far; it gives the norm before cutting
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
        # the terms are means over all processes, so all of them stop at the same step
        for term, value in terms.items():
            if math.isfinite(value):
                continue
            is_finite = losses[term].detach().cpu().isfinite().tolist()
            own = [name for name, finite in zip(batch.names, is_finite, strict=True) if not finite]
            found = self.processes.gather(own)
            share = f" for {len(found)} of {self.samples_per_step} images, such as {', '.join(found[:3])}"
            raise NonFiniteLossError(
                f"training stopped at step {self.step}: the loss term '{term}' is {value}{share if found else ''}; "
                "lower the learning rate, or look at the images if it is always the same ones"
            )

    def _is_due(self, every: int) -> bool:
        """Whether something is due now that comes at a fixed interval of steps, and at the last step; 0 is never."""
        return every > 0 and (self.step % every == 0 or self.step == self.steps)

    def _log_terms(self, window: LogWindow) -> None:
        if self.log is not None:
            speed = round(window.steps * self.samples_per_step / window.seconds, 2)
            # the step is counted already, its rate is that of the step before
            rate = self.learning_rate(self.step - 1)
            self.log.add({"step": self.step, **window.means(), "learning_rate": rate, "samples_per_second": speed})

    def _validate_if_due(self, finished: Callable[[], None]) -> None:
        if self.step == 0 or not (self._is_due(self.schedule.validate_every) or self.step == self.steps):
            return
        if self.log is not None and not self.log.validated(self.step):
            if self.step == self.steps:
                finished()
            if self.task.num_validation:
                self.tell(f"validation after step {self.step}: {counted(self.task.num_validation, 'photo')}")
            numbers = self.task.validate(averaged_network(self.task.network, self.average).eval())
            if self.schedule.validate_without_averaging:
                own = self.task.validate(self.task.network.eval())
                numbers |= {f"{name}_without_averaging": value for name, value in own.items()}
            self.log.add({"step": self.step, **numbers})
        # the others wait for the process that validates
        self.processes.wait()
