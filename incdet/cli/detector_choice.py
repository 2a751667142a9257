"""The detector that a command evaluates, as its options name it."""

from dataclasses import dataclass
from pathlib import Path

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.networks.chosen_weights import CommonRecord, check_detector


@dataclass(frozen=True)
class DetectorChoice:
    """The detector that is evaluated, as the options name it; all empty is the shipped one.

    Attributes:
        weights: Names or files of weights; none, or ("default",), are the shipped ones.
        members: Networks of the shipped ensemble that are averaged.
        cascade: Whether the first weights are a rejection network.
        each_network: Whether every network is evaluated by itself, too.
        config: Configuration file.
        settings: Settings over the file's.
    """

    weights: tuple[str, ...] = ()
    members: int | None = None
    cascade: bool = False
    each_network: bool = False
    config: Path | None = None
    settings: tuple[str, ...] = ()

    def files(self) -> tuple[str, ...]:
        """The names or files of weights; none for the shipped ones."""
        return () if self.weights == ("default",) else self.weights

    def effective(self) -> Config:
        """The configuration, checked.

        Raises:
            ConfigurationError: The file or a setting is wrong.
        """
        return load_config(Config, self.config, self.settings)

    def check(self) -> tuple[str, ...]:
        """Checks everything that is known without loading a network, and returns the classes of the detector.

        Raises:
            IncdetError: As `check_detector`.
        """
        return self._common_record().class_names

    def display_threshold(self) -> float:
        """The lowest score of a detection that the detector shows.

        Raises:
            IncdetError: As `check_detector`.
        """
        return self._common_record().display_threshold

    def _common_record(self) -> CommonRecord:
        return check_detector(self.files(), self.members, self.cascade, self.effective())
