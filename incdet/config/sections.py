"""The configuration: typed, strict, flat to read. An unknown key is an error that names the nearest valid one."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from incdet.config.values import apply_setting, read_yaml
from incdet.errors import ConfigurationError

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

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_defaults(cls, values: Any) -> Any:
        """In YAML, `proposals:` with nothing below it is None."""
        if not isinstance(values, Mapping):
            return values
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
        part_sides: besides the whole photo, parts of it with these shares of its sides are looked at; those of one size
            cover the photo, and neighbours have at least a quarter of their side in common.
    """

    weights: str = "multibox-voc"
    limit: int = Field(200, ge=1)
    iou_threshold: Unit = 0.6
    part_sides: tuple[Annotated[float, Field(ge=0.1, lt=1)], ...] = (0.67, 0.4, 0.25)


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
        gate: of a detector with a first stage: the ensemble looks only at regions where the first stage finds a class
            at least this probable; 0 shows it every region.
        coarse_gate: likewise the first stage looks only at regions where it finds a class at least this probable in a
            crop with half the pixels along each side; 0 spares the coarse look.
        regression: regions are moved and stretched as a network's bounding-box regression says, where its weights come
            with one (R-CNN, appendix C), and what a first stage lets pass is looked at where it then lies; without it
            regions stay the proposals, as in the paper.
    """

    batch_size: int | None = Field(None, ge=1)
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    gate: Unit = 0.1
    coarse_gate: Unit = 0.01
    regression: bool = True


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


SectionType = TypeVar("SectionType", bound=Section)


def load_config(
    section: type[SectionType], file: Path | str | None = None, settings: Iterable[str] = ()
) -> SectionType:
    """A configuration from an optional YAML file and `dotted.key=value` settings (which win).

    Raises:
        ConfigurationError: the file cannot be read, or a key, type or value is wrong; names the dotted path.
    """
    values = read_yaml(Path(file)) if file is not None else {}
    for setting in settings:
        apply_setting(values, setting)
    return make_config(section, values, "configuration" if file is None else str(file))


def make_config(section: type[SectionType], values: Mapping[str, Any], origin: str) -> SectionType:
    """Checks plain values against a section; lists become tuples.

    Raises:
        ConfigurationError: names `origin`, the dotted path, what was expected and the nearest valid key.
    """
    try:
        return section.model_validate(_tuples(values))
    except RecursionError:
        raise ConfigurationError(f"{origin}: a value holds itself; write it out") from None
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigurationError(f"{origin}: unknown key '{path}'; {_nearest_key(section, path)}") from None
        found = repr(first["input"])[:60]
        rule = _lower(first["msg"]).replace("tuple", "list")
        raise ConfigurationError(f"{origin}: '{path}' is {found}, but {rule}") from None


def _tuples(value: Any) -> Any:
    """YAML knows lists only; the frozen configuration holds tuples. Whole numbers are welcome where floats go."""
    if isinstance(value, Mapping):
        return {str(key): _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def valid_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """All dotted keys of a section, for messages and help."""
    keys = []
    for name, info in section.model_fields.items():
        keys.append(prefix + name)
        if is_section(info.annotation):
            keys += valid_keys(info.annotation, f"{prefix}{name}.")
    return keys


def _nearest_key(section: type[BaseModel], path: str) -> str:
    keys = valid_keys(section)
    by_leaf = [key for key in keys if key.rpartition(".")[2] == path.rpartition(".")[2]]
    deeper = [key for key in keys if key.startswith(path) and key.count(".") == path.count(".")]
    # of several sections with such a key, the outermost is meant most often
    nearest = (
        sorted(by_leaf, key=lambda key: key.count("."))
        or deeper
        or difflib.get_close_matches(path, keys, n=1, cutoff=0.4)
    )
    return f"did you mean '{nearest[0]}'?" if nearest else f"valid keys: {', '.join(section.model_fields)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
