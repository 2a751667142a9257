"""The errors that a user can cause or meet. A message is one sentence: the attempt, the input, the finding, advice."""


class IncdetError(Exception):
    """Base of all errors that incdet raises on purpose. The command line ends with `exit_code`."""

    exit_code = 2


class ConfigurationError(IncdetError):
    """A configuration or an argument that cannot be used."""


class ImageError(IncdetError):
    """A photo that cannot be read; the rest of a batch goes on."""

    exit_code = 1


class PhotoSizeError(ImageError):
    """A photo with more pixels than the limit, or with none."""


class DataError(IncdetError):
    """A data set, annotation or predictions file that is missing or malformed."""

    exit_code = 3


class WeightsError(IncdetError):
    """Weights that are missing, damaged or made for something else."""

    exit_code = 3


class PackageError(IncdetError):
    """A package that is missing or broken, or lacks a part that incdet needs."""

    exit_code = 3


class OutputError(IncdetError):
    """A place that cannot be written to."""


def reason(error: Exception) -> str:
    """Returns the system's own words for an error, fit for the middle of a sentence."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return "a number has too many digits"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(words.split()).lower()
