"""The `cohort` section of a configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from featurestore.config import Section, Text
from featurestore.errors import DataError
from featurestore.outcomes import Outcome, Unit, find_outcome
from featurestore.sources import SourceSection


class ColumnOutcome(Section):
    """An outcome that the configuration defines itself; see `featurestore.outcomes.Outcome`."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    column: str
    positive: tuple[Text, ...] = ("1",)
    negative: tuple[Text, ...] = ("0",)
    definition: str = ""
    unit: Unit = "patient"
    as_of: str = "not stated"
    deny: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    def outcome(self) -> Outcome:
        """Returns the outcome."""
        stated = f"{self.column} is {' or '.join(self.positive)}"
        record = self.model_dump() | {"definition": self.definition or stated}
        return Outcome(**record)


def _outcome_form(value: Any) -> str:
    return "named" if isinstance(value, str) else "defined"


class CohortConfig(Section):
    """Where the patients come from and what is predicted.

    Attributes:
        sources: What is read; tables are joined by patient id.
        outcome: Name of a registered outcome, or a definition with a column and its values.
        linkage: `patient` joins the sources by patient id; `none` takes a single source.
        use_anyway: Columns that models see although the outcome's deny-list names them or they
            become known after its as-of time; the audit says so.
        require_images: Leave patients without a usable image out.
        max_megapixels: Larger images are not decoded.
    """

    sources: tuple[SourceSection, ...] = pydantic.Field(min_length=1)
    outcome: Annotated[
        Annotated[str, pydantic.Tag("named")] | Annotated[ColumnOutcome, pydantic.Tag("defined")],
        pydantic.Discriminator(_outcome_form),
    ]
    linkage: Literal["patient", "none"] = "patient"
    use_anyway: tuple[str, ...] = ()
    require_images: bool = False
    max_megapixels: float = pydantic.Field(default=200.0, gt=0, le=10_000)

    @pydantic.field_validator("linkage", mode="before")
    @classmethod
    def _linkage_exists(cls, linkage: Any) -> Any:
        if linkage == "label_matched":
            raise ValueError("label_matched is not offered yet; today: patient, none")
        return linkage

    @pydantic.field_validator("outcome")
    @classmethod
    def _outcome_is_known(cls, outcome: str | ColumnOutcome) -> str | ColumnOutcome:
        if isinstance(outcome, str):
            try:
                find_outcome(outcome)
            except DataError as error:
                raise ValueError(str(error)) from None
        return outcome

    def find_outcome(self) -> Outcome:
        """The outcome that this section names or defines."""
        if isinstance(self.outcome, str):
            return find_outcome(self.outcome)
        return self.outcome.outcome()
