"""The configuration's sections: typed, strict, each key with its meaning, unit and default."""

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, model_validator

ColorSpace = Literal["rgb", "intensity", "lab", "rgi", "hsv", "normalized_rgb", "c", "hue"]
Similarity = Literal[
    "color",
    "texture",
    "size",
    "fill",
    "color_texture",
    "color_size",
    "color_fill",
    "texture_size",
    "texture_fill",
    "size_fill",
    "color_texture_size",
    "color_texture_fill",
    "color_size_fill",
    "texture_size_fill",
    "color_texture_size_fill",
]
STRATEGIES: dict[str, dict[str, Any]] = {
    "single": {"color_spaces": ("hsv",), "similarities": ("color_texture_size_fill",), "k": (100.0,)},
    "fast": {
        "color_spaces": ("hsv", "lab"),
        "similarities": ("color_texture_size_fill", "texture_size_fill"),
        "k": (50.0, 100.0),
    },
    "quality": {
        "color_spaces": ("hsv", "lab", "rgi", "hue", "intensity"),
        "similarities": ("color_texture_size_fill", "texture_size_fill", "fill", "size"),
        "k": (50.0, 100.0, 150.0, 300.0),
    },
}
"""Named sets of diversification strategies."""

Unit = Annotated[float, Field(ge=0, le=1)]


def is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a field holds further keys."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


class Section(BaseModel):
    """Base of all configuration sections: unknown keys and loose types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    old_names: ClassVar[Mapping[str, str]] = {}
    """Keys as they were called one version ago -> what they are called now."""

    @model_validator(mode="before")
    @classmethod
    def _take_old_names_and_empty_sections(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = dict(values)
        for old, new in cls.old_names.items():
            if old not in values:
                continue
            if new in values:
                raise ValueError(f"'{old}' is the old name of '{new}', and both are given; keep '{new}'")
            warnings.warn(f"the setting '{old}' is now called '{new}'; the old name goes in 0.3", FutureWarning, 2)
            values[new] = values.pop(old)
        # in YAML, `proposals:` with nothing below it is None
        sections = {name for name, info in cls.model_fields.items() if is_section(info.annotation)}
        return {key: {} if value is None and key in sections else value for key, value in values.items()}


class ImagesConfig(Section):
    """What the reader accepts."""

    max_megapixels: float = Field(100.0, gt=0)


class SelectiveSearchConfig(Section):
    """Selective search; the defaults are R-CNN's fast set at GoogLeNet's doubled superpixels.

    Attributes:
        engine: "incdet" is the algorithm of the paper, "opencv" its peer in cv2.ximgproc.
        strategies: the set that color_spaces, similarities and k come from where they are not given: "single" is the
            best single strategy of Uijlings et al. 2013 (table 5), "fast" and "quality" are the sets of its code.
        superpixel_scale: multiplies both k and the smallest superpixel (1 = R-CNN, 2 = GoogLeNet).
        color_spaces: segmentation and grouping run once in each.
        similarities: of neighbouring regions, parts that are added; one hierarchy grows by each.
        k: segmentation thresholds before scaling; the smallest superpixel equals k, in pixels of the frame. Bounded
            like the others, because superpixels of few pixels need more memory than machines have.
        sigma: blur before segmentation, in pixels of the frame.
        width: width of the frame in which the search runs, in pixels; smaller photos are enlarged.
        min_side: shortest side of a kept box, in pixels of the frame.
        seed: of the random factors in the ranking.
    """

    engine: Literal["incdet", "opencv"] = "incdet"
    strategies: Literal["single", "fast", "quality"] = "fast"
    superpixel_scale: float = Field(2.0, ge=0.5, le=100)
    color_spaces: tuple[ColorSpace, ...] = Field(STRATEGIES["fast"]["color_spaces"], min_length=1)
    similarities: tuple[Similarity, ...] = Field(STRATEGIES["fast"]["similarities"], min_length=1)
    k: tuple[Annotated[float, Field(ge=20, le=10_000)], ...] = Field(STRATEGIES["fast"]["k"], min_length=1)
    sigma: float = Field(0.8, gt=0, le=10)
    width: int = Field(500, ge=32, le=4000)
    min_side: float = Field(20.0, ge=0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_strategies(cls, values: Any) -> Any:
        """The effective configuration spells out what a set's name stands for."""
        name = values.get("strategies") if isinstance(values, Mapping) else None
        # a name that is no set is left to the check of the field
        return {**STRATEGIES[name], **values} if isinstance(name, str) and name in STRATEGIES else values


class MultiBoxConfig(Section):
    """The network that proposes boxes.

    Attributes:
        weights: a file that tools/train_multibox.py wrote, or the name of shipped weights.
        limit: best boxes that are kept (paper: 200).
        iou_threshold: a box that overlaps a better one by more is left out.
        crop_sides: besides the whole photo, parts of it with these shares of its sides are looked at; those of one size
            cover the photo, and neighbours have at least a quarter of their side in common.
    """

    old_names = {"part_sides": "crop_sides"}

    weights: str = "multibox-voc"
    limit: int = Field(200, ge=1)
    iou_threshold: Unit = 0.6
    crop_sides: tuple[Annotated[float, Field(ge=0.1, lt=1)], ...] = (0.67, 0.4, 0.25)


class ProposalsConfig(Section):
    """Which proposers run, and what becomes of their boxes.

    Attributes:
        methods: the proposers, in the order of their boxes.
        limit: best boxes that go on; None = all.
        duplicate_iou: a box that overlaps one of an earlier proposer by more is left out.
    """

    methods: tuple[Literal["selective_search", "multibox"], ...] = Field(("multibox", "selective_search"), min_length=1)
    limit: int | None = Field(None, ge=1)
    duplicate_iou: Unit = 0.95
    selective_search: SelectiveSearchConfig = SelectiveSearchConfig()
    multibox: MultiBoxConfig = MultiBoxConfig()


class ScoresConfig(Section):
    """How regions are classified.

    Attributes:
        batch_size: regions at a time; None is 64 on a CPU and 512 on a GPU.
        precision: "auto" is bfloat16 where the device computes it natively; "int8" needs OpenVINO and measured ranges.
        engine: what computes a detector's networks; "openvino" is for CPUs and needs the package of that name, "auto"
            takes it where it is installed. Whole photos are classified by torch.
        min_probability: lowest probability of a class, in the rejection network's output, with which a region reaches
            the members of the ensemble; 0 shows them every region. Only detectors with a rejection network use it.
        half_resolution_min_probability: lowest probability of a class, in the rejection network's output for a crop
            with half the pixels along each side, with which a region reaches the rejection network at full resolution;
            0 leaves the half-resolution stage out.
        box_deltas: whether regions are moved and stretched by a network's box deltas, where its weights come with a box
            regressor (R-CNN, appendix C). The members of the ensemble then see the moved regions. Without it regions
            stay the proposals, as in the paper.
    """

    old_names = {
        "gate": "min_probability",
        "coarse_gate": "half_resolution_min_probability",
        "regression": "box_deltas",
    }

    batch_size: int | None = Field(None, ge=1)
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    min_probability: Unit = 0.1
    half_resolution_min_probability: Unit = 0.01
    box_deltas: bool = True


class DetectionsConfig(Section):
    """From probabilities to detections.

    Attributes:
        score_threshold: lowest probability that is kept at all; low, because mAP wants the whole curve.
        iou_threshold: per-class NMS removes a box that overlaps a better one by more (R-CNN: 0.3).
        voting_iou: a detection's box becomes the mean of the boxes of its class, before NMS, that overlap it by this or
            more, weighted by their probabilities; None is the best one's, as in the paper.
        max_per_image: best detections kept per image.
        classes: only these are looked for; None is all that the weights know.
        display_threshold: lowest probability that `incdet detect` shows and saves; high, because a quarter of the
            regions in training hold an object, far fewer in a photo, so probabilities come out too high.
    """

    score_threshold: Unit = 0.01
    iou_threshold: Unit = 0.3
    voting_iou: Unit | None = 0.5
    max_per_image: int = Field(100, ge=1)
    classes: tuple[str, ...] | None = Field(None, min_length=1)
    display_threshold: Unit = 0.75


class Config(Section):
    """Everything that decides what a detector finds, except its weights."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    images: ImagesConfig = ImagesConfig()
    proposals: ProposalsConfig = ProposalsConfig()
    scores: ScoresConfig = ScoresConfig()
    detections: DetectionsConfig = DetectionsConfig()
