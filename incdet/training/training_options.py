"""What does not decide the result of a training: who listens, what is written besides, and photos that were read."""

from dataclasses import dataclass, field

from incdet.data.dataset import Warn
from incdet.runtime.optional_packages import require_package
from incdet.runtime.reporter import SILENT, Reporter
from incdet.training.samples.photo_sources import PhotosConfig, PhotoSource, open_photos
from incdet.training.training_data import DataConfig, PhotosOfTraining, read_training_photos


class TrainingPhotos:
    """Photos of trainings, each read once: for the checks before the start, and for every member of an ensemble."""

    def __init__(self) -> None:
        self._data_sets: dict[tuple[DataConfig, int], PhotosOfTraining] = {}
        self._sources: dict[PhotosConfig, PhotoSource] = {}

    def of_data_set(self, config: DataConfig, seed: int, warn: Warn) -> PhotosOfTraining:
        """Returns what `read_training_photos` does; warnings come with the first reading alone."""
        # the seed draws objects of the extra split alone
        key = config, seed if config.extra_split is not None else 0
        if key not in self._data_sets:
            self._data_sets[key] = read_training_photos(config, seed, warn)
        return self._data_sets[key]

    def of_classes(self, config: PhotosConfig, warn: Warn) -> PhotoSource:
        """Returns what `open_photos` does; warnings come with the first reading alone."""
        # the checks before the start look for the same photos as the training, and have said what is odd about them
        if config not in self._sources:
            self._sources[config] = open_photos(config, warn)
        return self._sources[config]


@dataclass(frozen=True)
class TrainingOptions:
    """What does not decide the result of a training.

    Attributes:
        tensorboard: Whether TensorBoard's events are written, too.
        reporter: Listener.
        photos: Photos of the trainings.
    """

    tensorboard: bool = False
    reporter: Reporter = SILENT
    photos: TrainingPhotos = field(default_factory=TrainingPhotos)

    def check(self) -> None:
        """Makes sure that the training will not fail for a missing package after its data is prepared.

        Raises:
            PackageError: TensorBoard is wanted and not installed.
        """
        if self.tensorboard:
            require_package("tensorboard", "TensorBoard's events", "train")
