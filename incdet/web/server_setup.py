"""What a server is made of, besides FastAPI: detector, classifier, limits, and who may use it."""

from dataclasses import dataclass, field

from incdet.classifier import Classifier
from incdet.detector import Detector
from incdet.web.server_limits import ServerLimits


@dataclass(frozen=True, eq=False)
class ServerSetup:
    """The parts of a server.

    Attributes:
        detector: Detects, in the worker's thread only.
        classifier: Classifies whole photos; None offers no `/v1/classify`.
        limits: Limits on what is taken.
        token: Token that requests must bring; None asks for none.
        is_local: Whether the server listens to this machine alone.
    """

    detector: Detector
    classifier: Classifier | None = None
    limits: ServerLimits = field(default_factory=ServerLimits)
    token: str | None = None
    is_local: bool = True
