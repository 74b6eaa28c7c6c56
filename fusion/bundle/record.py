"""What a bundle says about itself: the content of `bundle.json`."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Self

import pydantic

from featurestore.config import Section
from featurestore.tables import Column, DataDictionary, Kind
from featurestore.units import NOUNS, Noun, Observed

READ_FORMATS = (1, 2, 3, 4)
"""Versions of the layout that this melafuse reads; raised when an older one could not read a bundle
rightly. Since 2 the places of levels are part of the fitted state; 3 has times, 4 image roles."""
BY_ROLE = 4
"""Layout of bundles whose models look at images by role."""

RISKS = ("below threshold", "at or above threshold")
"""Names of the two risk classes."""


class InputColumn(Section):
    """One patient column that a bundle takes.

    Attributes:
        name: Name in tables, JSON and forms.
        kind: How it is measured, as in the data dictionary.
        group: Group of the data dictionary.
        label: Name for people.
        unit: Unit of a numeric column.
        levels: Levels of the data dictionary, ascending where the kind is ordinal.
        missing_tokens: Texts of the study's files that were read as missing.
        training_levels: Levels that a training patient had.
        training_range: Least and greatest training value of a number.
        allowed_range: Numbers outside are refused: no such value is meant in this unit.
        typical: What stands in for a missing value: median, mode, or nothing.
        missing_share: Share of the training patients without a value.
        modality: Modality of the first model that looks at it.
    """

    name: str
    kind: Kind
    group: str
    label: str = ""
    unit: str = ""
    levels: tuple[str, ...] = ()
    missing_tokens: tuple[str, ...] = ()
    training_levels: tuple[str, ...] = ()
    training_range: tuple[float, float] | None = None
    allowed_range: tuple[float, float] | None = None
    typical: float | str | None = None
    missing_share: float = pydantic.Field(ge=0, le=1)
    modality: str

    @property
    def is_text(self) -> bool:
        """Whether values are levels rather than numbers."""
        return self.kind in ("ordinal", "nominal")

    def column(self) -> Column:
        """The column as the data dictionary had it."""
        return Column(self.name, self.kind, self.group, self.label, self.unit, self.levels)


class ImageInput(Section):
    """The images that a bundle takes.

    Attributes:
        modalities: Modalities of the first model that look at images; none takes no image.
        max_megapixels: Larger pictures are refused before they are decoded.
        roles: Roles that models tell apart; each image must say one of them. None takes any image.
    """

    modalities: tuple[str, ...] = ()
    max_megapixels: float = pydantic.Field(gt=0, le=10_000)
    roles: tuple[str, ...] = ()

    @pydantic.model_serializer(mode="wrap")
    def _roles_only_where_there_are(
        self, dump: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        return found if self.roles else {k: v for k, v in found.items() if k != "roles"}


class EncoderRecord(Section):
    """One backbone that embeds images.

    Attributes:
        name: Name among the embeddings of the models; ends with `_ft` where it was fine-tuned.
        architecture: Name as timm knows it.
        image_size: Side of the square input in pixels.
        dimension: Length of the embedding.
        origin: Where the weights came from, in words.
        weights_sha256: Digest of the tensors.
        preprocessing: Canonical JSON of decode, resize and normalise.
        pooling: How the feature map becomes a vector.
        dtype: Type of the forward pass.
        storage_dtype: Type that embeddings were rounded to in training.
        training_digest: SHA-256 of the training patients of a fine-tuned encoder, else empty.
        file: Its weights.
    """

    name: str
    architecture: str
    image_size: int = pydantic.Field(ge=1, le=1024)
    dimension: int = pydantic.Field(ge=1, le=100_000)
    origin: str
    weights_sha256: str
    preprocessing: str
    pooling: str
    dtype: str
    storage_dtype: Literal["float32", "float16"]
    training_digest: str = ""
    file: str

    @property
    def trained(self) -> bool:
        """Whether it ever learned anything; one with random weights did not."""
        return not self.origin.startswith("weights random")


class NoveltyRecord(Section):
    """Where image embeddings are told from those of training.

    Attributes:
        encoder: Name of the encoder.
        role: Of the images that it is of; empty where it is of all.
        limit: Distances beyond are flagged.
        share: Share of the training images within the limit.
        images: Training images.
        file: Centre, components and quantiles.
    """

    encoder: str
    role: str = ""
    limit: float
    share: float = pydantic.Field(gt=0, lt=1)
    images: int
    file: str

    @pydantic.model_serializer(mode="wrap")
    def _role_only_where_there_is_one(
        self, dump: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        return found if self.role else {k: v for k, v in found.items() if k != "role"}


class MetricRecord(Section):
    """A cross-validated metric with its 95 % interval; null where it is not defined."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, value: float, low: float, high: float) -> MetricRecord:
        """Numbers that are not finite become null."""
        kept = [float(v) if math.isfinite(v) else None for v in (value, low, high)]
        return cls(value=kept[0], low=kept[1], high=kept[2])


class Performance(Section):
    """How the arm did in the study's cross-validation; never measured on the fit in the bundle.

    Attributes:
        what: The same in a sentence.
        n: Patients.
        events: Patients with the outcome.
        metrics: By name.
    """

    what: str
    n: int
    events: int
    metrics: dict[str, MetricRecord]


class FittedRecord(Section):
    """One fitted arm, whatever the kind of outcome.

    Attributes:
        arm: Its name in the study.
        model: Its model.
        modalities: Name, embeddings and groups of each modality.
        state: Prefix of its files.
        replicates: Prefixes of the files of its bootstrap replicates.
        performance: Cross-validated.
    """

    arm: str
    model: str
    modalities: tuple[dict[str, Any], ...]
    state: str
    replicates: tuple[str, ...] = ()
    performance: Performance


class ModelRecord(FittedRecord):
    """One fitted arm of a binary outcome.

    Attributes:
        calibration: Method, and what was fitted.
        threshold: Risks are `at or above threshold` from this probability on.
        threshold_rule: How it was chosen.
    """

    kind: ClassVar[str] = "binary"
    calibration: dict[str, Any]
    threshold: float = pydantic.Field(ge=0, le=1)
    threshold_rule: str


class TimesModelRecord(FittedRecord):
    """One fitted arm of times to an event; the scale of its risks is among its files.

    Attributes:
        cut_points: Log hazard ratios at which risk groups begin, ascending.
        cut_rule: How they were chosen.
    """

    kind: ClassVar[str] = "time_to_event"
    cut_points: tuple[float, ...] = pydantic.Field(max_length=20)
    cut_rule: str

    @pydantic.model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.cut_points) != sorted(self.cut_points):
            raise ValueError("the cut points of risk groups do not ascend")
        return self


class OutcomeFacts(Section):
    """What is predicted, whatever its kind."""

    name: str
    definition: str
    unit: str
    as_of: str
    caveats: tuple[str, ...]


class OutcomeRecord(OutcomeFacts):
    """An outcome that is there or not."""

    kind: ClassVar[str] = "binary"


class TimesOutcomeRecord(OutcomeFacts):
    """A time to an event; times in days since time zero.

    Attributes:
        kind: Names the kind.
        time_zero: From when times are counted, in words.
        horizons: By which risks are predicted, ascending; those that follow-up supports.
        unsupported: Horizons of the study that follow-up does not support.
        known_until: The last time that the study's follow-up supports: nothing is said beyond it.
        competing: Whether an event competes, so that risks are cumulative incidences.
        late_entry: Whether patients came under observation after time zero.
    """

    kind: Literal["time_to_event"] = "time_to_event"
    time_zero: str
    horizons: tuple[float, ...] = pydantic.Field(min_length=1, max_length=50)
    unsupported: tuple[float, ...] = ()
    known_until: float = pydantic.Field(gt=0, le=100_000)
    competing: bool
    late_entry: bool

    @pydantic.model_validator(mode="after")
    def _known(self) -> Self:
        days = self.horizons
        if list(days) != sorted(set(days)) or days[0] <= 0 or days[-1] > self.known_until:
            raise ValueError("the horizons do not ascend within what is known")
        return self


class CohortRecord(Section):
    """Whom the bundle was fitted on.

    Attributes:
        digest: SHA-256 of the cohort.
        linkage: How images and patient rows were matched.
        synthetic: Whether any row was made by a program.
        patients: Their number; of lesions that of lesions.
        events: Those with the outcome.
        images: Their images.
        sources: One line a source with its licence.
        table: Baseline characteristics: variable, level, unit, all, missing.
        observed: What is scored: a patient or a lesion.
        persons: Of lesions the patients who are known.
    """

    digest: str
    linkage: str
    synthetic: bool
    patients: int
    events: int
    images: int
    sources: tuple[str, ...]
    table: tuple[dict[str, str], ...]
    observed: Observed = "patient"
    persons: int = 0

    @pydantic.model_serializer(mode="wrap")
    def _silent_of_patients(self, plain: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A bundle of patients says nothing of lesions, so that its bytes stay what they were."""
        record: dict[str, Any] = plain(self)
        silent = ("observed", "persons") if self.observed == "patient" else ()
        return {key: value for key, value in record.items() if key not in silent}


class FindingRecord(Section):
    """What the study's report says before any number."""

    level: str
    text: str


class FileRecord(Section):
    """Size and digest of one file."""

    bytes: int = pydantic.Field(ge=0)
    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$")


class BundleRecord(Section):
    """The content of `bundle.json` but for its own digest.

    Attributes:
        format: Version of the layout.
        name: Name of the study.
        disclaimer: Stands on every output.
        watermark: Stands on every output; empty for real, linked patients.
        outcome: What is predicted.
        findings: What the study's report invalidates and warns of.
        cohort: Whom the bundle was fitted on.
        inputs: Patient columns, in the order of the data dictionary.
        image: The images that it takes.
        encoders: Backbones.
        novelty: One an encoder.
        models: The first gives the score; others are printed beside it.
        seed: Seed of all fits.
        versions: Of Python and every package that can change a number.
        files: Every file but `bundle.json`.
    """

    format: Literal[1, 2, 3, 4] = 1
    name: str
    disclaimer: str
    watermark: str
    outcome: OutcomeRecord | TimesOutcomeRecord
    findings: tuple[FindingRecord, ...]
    cohort: CohortRecord
    inputs: tuple[InputColumn, ...]
    image: ImageInput
    encoders: tuple[EncoderRecord, ...]
    novelty: tuple[NoveltyRecord, ...]
    models: tuple[ModelRecord | TimesModelRecord, ...] = pydantic.Field(min_length=1)
    seed: int
    versions: dict[str, str]
    files: dict[str, FileRecord]

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if {model.kind for model in self.models} != {self.kind}:
            raise ValueError("models and outcome are of different kinds")
        return self

    @property
    def kind(self) -> str:
        """Kind of the outcome (`fusion.endpoints`)."""
        return self.outcome.kind

    @property
    def noun(self) -> Noun:
        """What is scored."""
        return NOUNS[self.cohort.observed]

    @property
    def id_column(self) -> str:
        """What the id of a case is called in files."""
        return f"{self.noun.one}_id"

    @property
    def dictionary(self) -> DataDictionary:
        """The patient columns as models see them."""
        return DataDictionary(column.column() for column in self.inputs)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences that stand beside every probability: those of the outcome, and what is grave.

        What the report merely warns of is on the page and in `bundle.json`.
        """
        grave = (f.text for f in self.findings if f.level == "invalidates")
        return tuple(dict.fromkeys([*grave, *self.outcome.caveats]))
