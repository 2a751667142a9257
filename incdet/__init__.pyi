"""The public names of incdet and their homes: the one list, for type checkers and for `incdet/__init__.py`."""

from incdet.classifier import Classifier as Classifier
from incdet.classifier import classify as classify
from incdet.config.sections import Config as Config
from incdet.config.sections import ProposalsConfig as ProposalsConfig
from incdet.data.readers import read_dataset as read_dataset
from incdet.detections import Detections as Detections
from incdet.detector import Detector as Detector
from incdet.detector import detect as detect
from incdet.errors import ConfigurationError as ConfigurationError
from incdet.errors import DataError as DataError
from incdet.errors import ImageError as ImageError
from incdet.errors import IncdetError as IncdetError
from incdet.errors import OutputError as OutputError
from incdet.errors import PackageError as PackageError
from incdet.errors import WeightsError as WeightsError
from incdet.evaluation.dataset_evaluation import evaluate as evaluate
from incdet.images import read_image as read_image
from incdet.proposals import Proposers as Proposers
from incdet.proposals import propose as propose
from incdet.structures import Classification as Classification
from incdet.structures import GroundTruth as GroundTruth
from incdet.structures import Image as Image
from incdet.structures import Proposals as Proposals

__version__: str
