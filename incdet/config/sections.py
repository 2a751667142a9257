"""The sections of the configuration: typed and strict, with meaning, unit and default of every key.

The entries under `Attributes:` are the descriptions that `incdet config` and the configuration page print (see
`incdet.config.descriptions`), so each of them consists of complete sentences.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from incdet.config.presets import PRESETS, PresetName
from incdet.config.section import Section as Section  # users of sections need both
from incdet.config.section import is_section as is_section
from incdet.config.section import merged

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
"""Named sets of diversification strategies of selective search."""

Unit = Annotated[float, Field(ge=0, le=1)]
PhotoSide = Annotated[int, Field(ge=96, le=4096)]


class ImagesConfig(Section):
    """Limits on the photos that are read.

    Attributes:
        max_megapixels: Largest photo that is read, in millions of pixels. A larger one is refused, because its
            uncompressed pixels and the regions cut from it may not fit into memory.
    """

    max_megapixels: float = Field(100.0, gt=0)


class SelectiveSearchConfig(Section):
    """Selective search. The defaults are R-CNN's fast set with the superpixels of GoogLeNet, twice as large.

    Attributes:
        engine: Implementation of selective search. "incdet" follows the paper, "opencv" is the variant in cv2.ximgproc,
            which gives other boxes in another order.
        strategies: Set of strategies that provides color_spaces, similarities and k where they are not given. "single"
            is the best single strategy of Uijlings et al. 2013 (table 5); "fast" and "quality" are the sets of their
            released code.
        superpixel_scale: Factor on k and on the smallest superpixel. R-CNN has 1, GoogLeNet 2, which halves the number
            of boxes.
        color_spaces: Colour spaces. Segmentation and grouping run once in each.
        similarities: Similarities of neighbouring regions, each the sum of the parts in its name. One hierarchy grows
            by each similarity.
        k: Thresholds of the segmentation, before superpixel_scale is applied. A larger one gives larger superpixels.
            The smallest superpixel has k pixels of the frame. Values below 20 are refused, because tiny superpixels
            need more memory than machines have.
        sigma: Standard deviation of the blur before the segmentation, in pixels of the frame.
        width: Width of the frame in which the search runs, in pixels. Photos are resized to it, smaller ones enlarged.
        min_side: Shortest side of a box that is kept, in pixels of the frame.
        seed: Seed of the random factors in the ranking of boxes. Equal seeds give equal proposals.
    """

    replaces: ClassVar[Mapping[str, tuple[str, ...]]] = {"strategies": ("color_spaces", "similarities", "k")}

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
        """Replaces the name of a set by its values, so that the effective configuration shows them."""
        name = values.get("strategies") if isinstance(values, Mapping) else None
        # a name that is no set is left to the check of the field
        return {**STRATEGIES[name], **values} if isinstance(name, str) and name in STRATEGIES else values


class MultiBoxConfig(Section):
    """MultiBox, the network that proposes boxes.

    Attributes:
        weights: Weights of the network: a file made by `incdet train multibox`, or a name of shipped weights.
            "multibox-voc-shared" reads the feature maps of whole photos that a network for shared features computes
            anyway; where no network of the detector does, they are computed for it alone. "multibox-voc" sees crops.
        limit: Number of best boxes that are kept per photo. The paper adds 200.
        iou_threshold: Jaccard index (IoU) with a better box above which a box is left out.
        crop_sides: Sides of the multi-scale crops, as shares of the photo's sides. The network sees the whole photo and
            then crops of each size, which cover the photo and overlap their neighbours by at least a quarter of their
            side. An empty list leaves only the whole photo, as in the paper. Weights for shared features ignore it.
        photo_sides: Lengths to which the shorter side of a photo is resized for weights that were trained on shared
            features, in pixels. Feature maps that the classification of regions computes at the same lengths are used
            for both. None takes those of the weights. Weights for crops ignore it.
    """

    old_names: ClassVar[Mapping[str, str]] = {"part_sides": "crop_sides"}

    weights: str = "multibox-voc-shared"
    limit: int = Field(200, ge=1)
    iou_threshold: Unit = 0.6
    crop_sides: tuple[Annotated[float, Field(ge=0.1, lt=1)], ...] = (0.67, 0.4, 0.25)
    photo_sides: tuple[PhotoSide, ...] | None = Field(None, min_length=1, max_length=8)


class ProposalsConfig(Section):
    """The proposers, and the selection among their boxes.

    Attributes:
        methods: The proposers that run, in the order of their boxes. Earlier ones win over duplicates of later ones.
        limit: Number of first boxes that go on to the networks. None keeps all of them.
        duplicate_iou: Jaccard index (IoU) with a box of an earlier proposer above which a box is left out.
        selective_search: Settings of selective search.
        multibox: Settings of MultiBox.
    """

    methods: tuple[Literal["selective_search", "multibox"], ...] = Field(("multibox", "selective_search"), min_length=1)
    limit: int | None = Field(None, ge=1)
    duplicate_iou: Unit = 0.95
    selective_search: SelectiveSearchConfig = SelectiveSearchConfig()
    multibox: MultiBoxConfig = MultiBoxConfig()


class ScoresConfig(Section):
    """The classification of regions by the networks.

    Attributes:
        features: Source of a region's feature maps. "shared" computes those of the whole photo once and pools regions
            from them (SPP-net, Fast R-CNN), "cropped" gives every region a crop of its own, as in R-CNN and the paper.
            "auto" takes what the weights were trained for. Without weights, "auto" takes the shipped network for shared
            features and, for crops of promising regions, the shipped ensemble behind it; "shared" takes the network for
            shared features alone, and "cropped" the ensemble behind a rejection network for crops.
        photo_sides: Lengths to which the shorter side of a photo is resized for shared features, in pixels. Each region
            is pooled where its size suits the network best, so that several lengths serve small and large objects
            (SPP-net). None takes those of the weights. A network of `namer` always takes its own.
        rounds: Number of times that promising regions are classified with shared features. From the second round on
            they lie where box deltas have moved them, and the probabilities of all rounds are averaged.
        round_min_probability: Lowest probability of any class with which a region takes part in another round.
        region_iou: Largest Jaccard index (IoU) of two regions that are classified with shared features and box deltas.
            Of regions that overlap more, only the best proposal is classified. 1 classifies all of them.
        batch_size: Number of regions that a network computes at once. None takes 512 on a GPU, and on a CPU 64 crops or
            256 regions that are pooled from shared feature maps.
        precision: Number format of the networks. "auto" takes bfloat16 where the device computes it natively, otherwise
            eight bits where OpenVINO and measured ranges of the weights are there, and float32 elsewhere. "int8" needs
            OpenVINO and measured ranges. "fastest" takes "int8" where both are there, otherwise it is "auto".
        engine: Program that computes the networks of a detector. "openvino" is for CPUs and needs the package of that
            name; "auto" takes it where it is installed, otherwise torch. Whole photos are classified by torch.
        min_probability: Lowest probability of any class, given by the rejection network, with which a region reaches
            the members of the ensemble; or of an object of any class, given by the finder or by whatever else stands in
            front of a namer, with which it reaches the network that names it. 0 passes every region on, as far as
            `representative_min_probability` lets it. Detectors with
            none of these ignore it.
        representative_iou: Largest Jaccard index (IoU) of two regions that the members of the ensemble classify, where
            the rejection network has shared features. Of regions that overlap more, the members classify the most
            probable one, whose probabilities the others take over. 1 sends all of them to the members.
        representative_min_probability: Lowest probability of any class with which a region that stands for others
            reaches the members, where the rejection network has shared features. Below it, the region and those that it
            stands for keep the rejection network's probabilities. 0 sends every such region to the members.
        half_resolution_min_probability: Lowest probability of any class, given by the rejection network for a crop with
            half the pixels along each side, with which a region reaches the rejection network at full resolution. 0
            leaves the half-resolution stage out.
        box_deltas: Whether a network's box deltas move and stretch the regions, where its weights come with a box
            regressor (R-CNN, appendix C). The members of the ensemble then classify the moved regions. Without box
            deltas the regions are the proposals, as in the paper.
        finder: Name or file of weights for shared features that find and place the objects which the weights name,
            whatever classes they know themselves. "auto" takes the weights that the record of the weights asks for;
            `googlenet-ilsvrc200` asks for `googlenet-voc-shared`. "none" lets the weights find objects by themselves.
        namer: Name or file of weights for shared features that say once more which class the objects are that the other
            networks have found, as far as both know their classes. "auto" takes `googlenet-voc-namer` for the shipped
            networks with `features` "auto", and none for others. "none" leaves it out.
        scene_exponent: Weight of the whole photo, as the namer sees it: classes that it shows less lose probability.
            0.1 leaves a class that is ten times less probable than the most probable one 0.79 of its probabilities, and
            every class at least half. 0 leaves the photo as a whole out. Detectors without a `namer` ignore it.
    """

    old_names: ClassVar[Mapping[str, str]] = {
        "gate": "min_probability",
        "coarse_gate": "half_resolution_min_probability",
        "regression": "box_deltas",
    }

    features: Literal["auto", "cropped", "shared"] = "auto"
    photo_sides: tuple[PhotoSide, ...] | None = Field(None, min_length=1, max_length=8)
    rounds: int = Field(2, ge=1, le=10)
    round_min_probability: Unit = 0.05
    region_iou: Unit = 0.65
    batch_size: int | None = Field(None, ge=1)
    precision: Literal["auto", "float32", "bfloat16", "int8", "fastest"] = "auto"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    min_probability: Unit = 0.1
    representative_iou: Unit = 0.5
    representative_min_probability: Unit = 0.25
    half_resolution_min_probability: Unit = 0.01
    box_deltas: bool = True
    finder: str = "auto"
    namer: str = "auto"
    scene_exponent: Unit = 0.1


DISPLAY_THRESHOLD = 0.45
"""Lowest score of a detection that is shown, where neither settings nor weights say another one."""


class DetectionsConfig(Section):
    """The selection of detections among the classified regions.

    Attributes:
        score_threshold: Lowest score of a detection, and lowest probability of a region that has a part in the scores
            of others. It is low, because mAP counts the whole ranked list.
        iou_threshold: Jaccard index (IoU) with a better box of the same class above which non-maximum suppression
            removes a box. R-CNN has 0.3.
        voting_iou: Smallest Jaccard index (IoU) with a detection from which a box of its class votes: the detection's
            box becomes the mean of these boxes, weighted by their probabilities. None keeps the best box.
        part_penalty: Share of its score that a detection loses where it lies wholly inside a larger one of its class
            whose score is as high. A lower one takes less; 0.7 of it or less inside costs nothing. 0 as in the paper.
        prominence_exponent: Power of the quotient of a detection's area and that of the largest one, by which its score
            is multiplied; 0.1 leaves 0.79 to a tenth. One with a lower score counts as smaller. 0 as in the paper.
        max_per_image: Number of best detections that are kept per photo.
        classes: Names of the classes that are looked for. None looks for all classes of the weights. Objects of other
            classes still count in the scores of these.
        display_threshold: Lowest score of a detection that `incdet detect` shows and saves. None takes that of the
            weights, and 0.45 where they have none of their own, measured on photos that no training had seen.
    """

    score_threshold: Unit = 0.01
    iou_threshold: Unit = 0.3
    voting_iou: Unit | None = 0.5
    part_penalty: Unit = 0.5
    prominence_exponent: Unit = 0.1
    max_per_image: int = Field(100, ge=1)
    classes: tuple[str, ...] | None = Field(None, min_length=1)
    display_threshold: Unit | None = None


class Config(Section):
    """All settings of a detector. Together with the weights they decide which detections it makes.

    Attributes:
        preset: Named set of settings. Every setting that is given itself wins over the preset. "paper" is the published
            system, slow: six networks see a crop of every region. "fast" is one network on shared features. The command
            `incdet info --presets` prints what each of them does, how good it is and how long it takes.
        device: Device of the networks. "auto" takes the first CUDA GPU where there is one, otherwise the CPU.
        images: Limits on the photos that are read.
        proposals: The proposers, and the selection among their boxes.
        scores: The classification of regions by the networks.
        detections: The selection of detections among the classified regions.
    """

    preset: PresetName = "default"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    images: ImagesConfig = ImagesConfig()
    proposals: ProposalsConfig = ProposalsConfig()
    scores: ScoresConfig = ScoresConfig()
    detections: DetectionsConfig = DetectionsConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, values: Any) -> Any:
        """Adds the settings of the preset that are not given, so that the effective configuration shows them."""
        name = values.get("preset") if isinstance(values, Mapping) else None
        # a name that is no preset is left to the check of the field
        if not isinstance(name, str) or name not in PRESETS:
            return values
        # an empty section changes nothing; of one that is made already, what was given to it counts
        given = {key: _given_values(value) for key, value in values.items() if value is not None}
        return merged(cls, PRESETS[name].settings, given)


def _given_values(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
