"""The `cohort` section of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from featurestore.cohort.times_config import RegisteredTimes, TimesOutcome
from featurestore.config import Section, Text
from featurestore.errors import DataError
from featurestore.outcomes import (
    ExpressionRule,
    NamedTexts,
    Outcome,
    Rule,
    Unit,
    ValueRule,
    find_outcome,
)
from featurestore.outcomes.expressions import parse
from featurestore.sources import SourceSection
from featurestore.tables import Measured
from featurestore.units import Observed


class ColumnOutcome(Section):
    """An outcome that the configuration defines itself, by a column or by an expression.

    Attributes:
        name: Name in reports.
        column: Label column: of the images table if it stands there (a patient is positive if any
            image is), else of the patients table.
        positive: Values of the column that count as an event, compared as text without case.
        negative: Values that count as no event; with an empty list every other known value does.
        expression: In place of a column: an expression over columns that is true for an event,
            for example `n_stage >= 'N1' and known(breslow)`; see docs/outcomes.md.
        among: Expression over patient columns that says who is studied; by default everyone.
        definition: One sentence that a reader can check.
        unit: What one observation is: `patient`, `specimen` or `lesion`.
        as_of: The time up to which a predictor may have been measured, in words.
        as_of_time: The same for the machine: `diagnosis`, `specimen` or `follow_up`. Columns that
            become known later are withheld from models.
        deny: Shell-style patterns of columns that reveal the outcome; models never see them.
        caveats: Sentences that every report prints.
    """

    union_tag: ClassVar[str] = "defined"

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    column: str | None = None
    positive: tuple[Text, ...] = ("1",)
    negative: tuple[Text, ...] = ("0",)
    expression: str | None = None
    among: str = ""
    definition: str = ""
    unit: Unit = "patient"
    as_of: str = "not stated"
    as_of_time: Measured = "unknown"
    deny: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    def outcome(self) -> Outcome:
        """Returns the outcome."""
        rule: Rule
        if self.column is not None:
            rule = ValueRule(self.column, self.positive, self.negative)
            stated = f"{self.column} is {' or '.join(self.positive)}"
        else:
            assert self.expression is not None  # validated
            rule, stated = ExpressionRule(self.expression), self.expression
        return Outcome(
            name=self.name,
            definition=self.definition or stated,
            unit=self.unit,
            as_of=self.as_of,
            rule=rule,
            deny=self.deny,
            caveats=self.caveats,
            as_of_time=self.as_of_time,
            among=self.among,
        )

    @pydantic.field_validator("expression", "among")
    @classmethod
    def _is_an_expression(cls, text: str | None) -> str | None:
        if text:
            try:
                parse(text)
            except DataError as error:
                raise ValueError(str(error)) from None
        return text

    @pydantic.model_validator(mode="after")
    def _one_rule(self) -> ColumnOutcome:
        if (self.column is None) == (self.expression is None):
            raise ValueError("an outcome has either a column or an expression")
        return self


def _outcome_form(value: Any) -> str:
    if isinstance(value, str):
        return "named"
    if isinstance(value, TimesOutcome) or (isinstance(value, dict) and "kind" in value):
        return TimesOutcome.union_tag
    if isinstance(value, RegisteredTimes) or (isinstance(value, dict) and "registered" in value):
        return RegisteredTimes.union_tag
    return ColumnOutcome.union_tag


OutcomeKey = Annotated[
    Annotated[str, pydantic.Tag("named")]
    | Annotated[ColumnOutcome, pydantic.Tag(ColumnOutcome.union_tag)]
    | Annotated[TimesOutcome, pydantic.Tag(TimesOutcome.union_tag)]
    | Annotated[RegisteredTimes, pydantic.Tag(RegisteredTimes.union_tag)],
    pydantic.Discriminator(_outcome_form),
]
"""Name of a registered outcome, such a name with changes, or a definition."""
AnyOutcome = str | ColumnOutcome | TimesOutcome | RegisteredTimes


def resolve_outcome(outcome: AnyOutcome) -> Outcome:
    """The outcome that a configuration names or defines.

    Raises:
        DataError: No outcome has this name.
    """
    return find_outcome(outcome) if isinstance(outcome, str) else outcome.outcome()


def _known(outcome: AnyOutcome) -> AnyOutcome:
    try:
        resolve_outcome(outcome)
    except DataError as error:
        raise ValueError(str(error)) from None
    return outcome


KnownOutcome = Annotated[OutcomeKey, pydantic.AfterValidator(_known)]


class LabelMatchedConfig(Section):
    """Linkage `label_matched`: rows that donors lend to image patients with the same label.

    Attributes:
        outcome: Outcome of the donors, whose label must equal that of the image patient.
        replacement: Whether a donor may lend its row more than once, as published studies do.
    """

    outcome: KnownOutcome
    replacement: bool = True


class CohortConfig(Section):
    """Where the patients come from and what is predicted.

    Attributes:
        sources: What is read; tables are joined by patient id.
        outcome: Name of a registered outcome, or a definition with a column and its values.
        outcomes: Several of them in place of `outcome`: each is a study of its own, all on the
            same folds and embeddings (docs/outcomes.md).
        folds_with: Outcomes of all the studies that this one shares its folds with, itself among
            them. A run of several `outcomes` writes it into the configuration of each study.
        unit: What one observation is: `patient`, or `lesion` where sources name lesions. Of lesions
            n, events and every metric count lesions; folds keep the lesions of a patient together,
            and the bootstrap draws patients.
        linkage: `patient` joins the sources by patient id; `none` takes a single source;
            `label_matched` lends image patients the clinical rows of other people with the same
            label, which supports no claim about patients (docs/linkage.md).
        label_matched: Settings of that linkage.
        use_anyway: Columns that models see although the outcome's deny-list names them or they
            become known after its as-of time; the audit says so.
        images_measured: When the pictures were taken: `diagnosis`, `specimen` or `follow_up`.
        known_on: Column with the day (on the clock of the outcome's columns) on which each patient
            came to what is measured at a time; `{specimen: days_to_specimen}` where there is such
            a column.
        require_images: Leave patients without a usable image out.
        max_megapixels: Larger images are not decoded.
    """

    sources: tuple[SourceSection, ...] = pydantic.Field(min_length=1)
    outcome: KnownOutcome
    outcomes: tuple[KnownOutcome, ...] = ()
    folds_with: tuple[KnownOutcome, ...] = ()
    unit: Observed = "patient"
    linkage: Literal["patient", "none", "label_matched"] = "patient"
    label_matched: LabelMatchedConfig | None = None
    use_anyway: tuple[str, ...] = ()
    images_measured: Measured = "unknown"
    known_on: dict[Literal["specimen", "follow_up"], str] = pydantic.Field(default_factory=dict)
    require_images: bool = False
    max_megapixels: float = pydantic.Field(default=200.0, gt=0, le=10_000)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _first_of_several(cls, record: Any) -> Any:
        listed = record.get("outcomes") if isinstance(record, dict) else None
        if isinstance(listed, list | tuple) and listed and record.get("outcome") is None:
            return {**record, "outcome": listed[0]}
        return record

    @pydantic.model_validator(mode="after")
    def _several_outcomes(self) -> CohortConfig:
        names = [resolve_outcome(outcome).name for outcome in self.outcomes or self.folds_with]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two outcomes are called {twice[0]!r}; give each its own name")
        own = self.find_outcome().name
        if names and own not in names:
            raise ValueError(
                f"outcome {own!r} is not among the outcomes {', '.join(names)}; leave `outcome` "
                "out, or list it too"
            )
        if self.outcomes and self.folds_with:
            raise ValueError("outcomes and folds_with exclude each other: a run writes the latter")
        if names and self.linkage == "label_matched":
            raise ValueError(
                "linkage label_matched lends rows by the label of one outcome; ask for each "
                "outcome in a run of its own"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _matched_on_demand(self) -> CohortConfig:
        if (self.linkage == "label_matched") != (self.label_matched is not None):
            raise ValueError(
                "linkage label_matched and the section label_matched (with the donors' outcome) "
                "go together"
            )
        if self.label_matched is not None:
            asked = (self.find_outcome(), resolve_outcome(self.label_matched.outcome))
            if any(outcome.kind != "binary" for outcome in asked):
                raise ValueError("linkage label_matched needs outcomes that are there or not")
        return self

    @pydantic.model_validator(mode="after")
    def _lesions_have_no_times(self) -> CohortConfig:
        if self.unit == "lesion" and self.linkage == "label_matched":
            raise ValueError(
                "linkage label_matched lends rows to patients and knows no lesions: unit: patient"
            )
        if self.unit == "lesion" and self.find_outcome().kind != "binary":
            raise ValueError(
                f"{self.find_outcome().name} is a time to an event of a person, which unit: lesion "
                f"would count once for each lesion: unit: patient"
            )
        return self

    def find_outcome(self) -> Outcome:
        """The outcome that this section names or defines."""
        return resolve_outcome(self.outcome)

    def by_outcome(self) -> dict[str, CohortConfig]:
        """The cohort of each outcome by its name: one, unless there are several `outcomes`."""
        if not self.outcomes:
            return {self.find_outcome().name: self}
        shared = {"outcomes": (), "folds_with": self.outcomes}
        return {
            resolve_outcome(outcome).name: self.model_copy(update={"outcome": outcome, **shared})
            for outcome in self.outcomes
        }

    def sharing_folds(self) -> dict[str, CohortConfig]:
        """By name the cohorts of all outcomes that share their folds; empty if none do."""
        return {
            resolve_outcome(outcome).name: self.model_copy(update={"outcome": outcome})
            for outcome in self.folds_with
        }

    def from_time_zero(self, also: Sequence[str] = ()) -> CohortConfig:
        """The same cohort with everyone at risk from the outcome's own time zero on.

        Args:
            also: Columns that models see there too, although they become known later.
        """
        outcome = self.outcome
        if isinstance(outcome, RegisteredTimes | TimesOutcome):
            outcome = outcome.from_time_zero()
        allowed = tuple(dict.fromkeys((*self.use_anyway, *also)))
        alone = self.model_copy(update={"folds_with": ()})
        return alone.model_copy(update={"outcome": outcome, "use_anyway": allowed})

    def named_texts(self) -> dict[str, NamedTexts]:
        """Texts that all its outcomes (and that of donors) name as values, by column."""
        several = self.outcomes or self.folds_with or (self.outcome,)
        outcomes = [resolve_outcome(outcome) for outcome in several]
        if self.label_matched is not None:
            outcomes.append(resolve_outcome(self.label_matched.outcome))
        named: dict[str, NamedTexts] = {}
        for outcome in outcomes:
            for column, texts in outcome.named.items():
                known = named.get(column)
                named[column] = texts if known is None else known.merged(texts)
        return named
