"""The check of OpenCV's engine of selective search, before any photo is read."""

from incdet.config.sections import ProposalsConfig


def require_opencv_engine(config: ProposalsConfig) -> None:
    """Makes sure that OpenCV's engine is there where it was asked for, so that its absence is one error, not one for
    every photo.

    Raises:
        PackageError: Another wheel of OpenCV is installed, which lacks the engine.
    """
    if config.selective_search.engine == "opencv":
        from incdet.proposers.opencv_engine import segmentation_module

        segmentation_module()
