"""Outcomes that a configuration defines by times: when an event came, or until when it had not."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from featurestore.config import Section, Text
from featurestore.errors import DataError
from featurestore.outcomes import (
    ExpressionRule,
    Outcome,
    Rule,
    TimesRule,
    TimeUnit,
    Unit,
    ValueRule,
    find_outcome,
    parse_duration,
    within,
)
from featurestore.outcomes.expressions import parse
from featurestore.tables import VOCABULARY, Measured

DEFAULT_HORIZONS = ("2y", "5y")
_NAME = re.compile(r"[A-Za-z_]\w*")


def _is_duration(text: str) -> str:
    try:
        parse_duration(text)
    except DataError as error:
        raise ValueError(str(error)) from None
    return text


def _is_an_expression(text: str) -> str:
    if text:
        try:
            parse(text)
        except DataError as error:
            raise ValueError(str(error)) from None
    return text


Duration = Annotated[str, pydantic.AfterValidator(_is_duration)]
"""Days, months or years: `90d`, `18m`, `2y`."""
Horizons = Annotated[tuple[Duration, ...], pydantic.Field(min_length=1, max_length=10)]
Expression = Annotated[str, pydantic.AfterValidator(_is_an_expression)]


class StateColumn(Section):
    """Whether something happened, by the values of one column.

    Attributes:
        column: The column.
        positive: Values that say that it happened, compared as text without case.
        negative: Values that say that it did not; with an empty list every other known value does.
            What the competing event of the same column names says so too.
    """

    union_tag: ClassVar[str] = "by_values"

    column: str
    positive: tuple[Text, ...] = ("1",)
    negative: tuple[Text, ...] = ("0",)


class TimeColumns(Section):
    """Columns of times, all in one unit and from one time zero.

    Attributes:
        event: When the event came.
        censoring: Until when a patient without the event was followed.
        competing: When the competing event came; the time of last contact by default.
    """

    union_tag: ClassVar[str] = "by_end"

    event: str
    censoring: str
    competing: str = ""


def _state_form(value: Any) -> str:
    return "stated" if isinstance(value, str) else StateColumn.union_tag


def _times_form(value: Any) -> str:
    return "one" if isinstance(value, str) else TimeColumns.union_tag


def _stated_well(state: str | StateColumn) -> str | StateColumn:
    return _is_an_expression(state) if isinstance(state, str) else state


StateKey = Annotated[
    Annotated[
        Annotated[str, pydantic.Tag("stated")]
        | Annotated[StateColumn, pydantic.Tag(StateColumn.union_tag)],
        pydantic.Discriminator(_state_form),
    ],
    pydantic.AfterValidator(_stated_well),
]
"""Name of a column of yes and no, an expression, or a column and its values."""
TimesKey = Annotated[
    Annotated[str, pydantic.Tag("one")]
    | Annotated[TimeColumns, pydantic.Tag(TimeColumns.union_tag)],
    pydantic.Discriminator(_times_form),
]
"""One column of times, or one for each way in which a time ends."""


class TimesOutcome(Section):
    """A time to an event that the configuration defines itself.

    Attributes:
        name: Name in reports.
        kind: Always `time_to_event`.
        time: Column of times, or `{event: …, censoring: …, competing: …}`.
        event: Whether the event came: a column of yes and no, an expression that is true for an
            event, or `{column: …, positive: […], negative: […]}`.
        competing: The same for an event after which the event cannot come any more (death before
            relapse); by default there is none, and such patients count as censored.
        entry: Column with the time from which a patient was under observation; by default time
            zero. Who enters later is not at risk before.
        origin: Column with the time zero, on the clock of the other columns; by default they count
            from it already.
        unit: Unit of these columns: `days`, `months` or `years`; times are kept in days.
        horizons: Times since time zero by which risks are predicted, for example `[2y, 5y]`.
        within: A time since time zero. The outcome is then yes or no: whether the event came until
            then; who was lost before is left out.
        among: Expression over patient columns that says who is studied; by default everyone.
        definition: One sentence that a reader can check.
        of: What one observation is: `patient`, `specimen` or `lesion`.
        time_zero: From when times are counted, in words.
        as_of: The time up to which a predictor may have been measured, in words.
        as_of_time: The same for the machine: `diagnosis`, `specimen` or `follow_up`.
        deny: Shell-style patterns of columns that reveal the outcome, beside all columns of times.
        caveats: Sentences that every report prints.
    """

    union_tag: ClassVar[str] = "times"

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    kind: Literal["time_to_event"]
    time: TimesKey
    event: StateKey
    competing: StateKey | None = None
    entry: str = ""
    origin: str = ""
    unit: TimeUnit = "days"
    horizons: Horizons = DEFAULT_HORIZONS
    within: Duration | None = None
    among: Expression = ""
    definition: str = ""
    of: Unit = "patient"
    time_zero: str = "not stated"
    as_of: str = ""
    as_of_time: Measured = "unknown"
    deny: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    def outcome(self) -> Outcome:
        """Returns the outcome."""
        times = Outcome(
            name=self.name,
            definition=self.definition or self._stated(),
            unit=self.of,
            as_of=self.as_of or self.origin or self.time_zero,
            rule=self._rule(),
            deny=self.deny,
            caveats=self.caveats,
            as_of_time=self.as_of_time,
            among=self.among,
            kind="time_to_event",
            horizons=horizons_in_days(self.horizons),
            time_zero=self.origin or self.time_zero,
        )
        return times if self.within is None else within(times, parse_duration(self.within))

    def from_time_zero(self) -> TimesOutcome:
        """The same with nobody entering late, counted from the time zero of its columns."""
        moved = bool(self.entry or self.origin)
        known = "diagnosis" if moved and self.as_of_time == "specimen" else self.as_of_time
        return self.model_copy(update={"entry": "", "origin": "", "as_of_time": known})

    def _rule(self) -> TimesRule:
        time = self.time
        if isinstance(time, str):
            time = TimeColumns(event=time, censoring=time)
        event, competing = self.event, self.competing
        if isinstance(event, StateColumn) and isinstance(competing, StateColumn):
            event, competing = _complementary(event, competing), _complementary(competing, event)
        return TimesRule(
            event=_state_rule(event),
            event_time=time.event,
            censoring_time=time.censoring,
            competing=None if competing is None else _state_rule(competing),
            competing_time=time.competing,
            entry=self.entry,
            origin=self.origin,
            unit=self.unit,
        )

    def _stated(self) -> str:
        ends = " or ".join(_words(s) for s in (self.event, self.competing) if s is not None)
        return f"Time to {ends}, whichever is first." if self.competing else f"Time to {ends}."

    @pydantic.model_validator(mode="after")
    def _asked_within_from_zero(self) -> TimesOutcome:
        if self.within is not None and self.entry:
            raise ValueError("`within` takes no late entry; leave `entry` out, or predict the time")
        return self

    @pydantic.model_validator(mode="after")
    def _named_once(self) -> TimesOutcome:
        if self.competing is not None and self.competing == self.event:
            raise ValueError("the event and the competing event are the same")
        return self


class RegisteredTimes(Section):
    """A registered time to an event, asked otherwise.

    Attributes:
        registered: Name of the registered outcome.
        name: Name in reports; by default made of that and of what differs.
        horizons: Times since time zero by which risks are predicted.
        entry: Column with the time from which a patient was under observation, in days; what is
            known by then may predict.
        origin: Column with the time zero, in days on the clock of the outcome; who had the event
            before is left out, and what is known by then may predict.
        within: A time since time zero: the outcome is then yes or no.
        among: Expression over patient columns that says who is studied.
    """

    union_tag: ClassVar[str] = "asked_otherwise"

    registered: str
    name: str = pydantic.Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")
    horizons: Horizons | None = None
    entry: str = ""
    origin: str = ""
    within: Duration | None = None
    among: Expression = ""

    def outcome(self) -> Outcome:
        """Returns the outcome.

        Raises:
            DataError: No outcome has this name, it has no times, or it cannot be asked like this.
        """
        known = find_outcome(self.registered)
        if not isinstance(known.rule, TimesRule):
            raise DataError(
                f"outcome {self.registered!r} has no times; name it alone: cohort.outcome: "
                f"{self.registered}"
            )
        rule, zero = known.rule, known.time_zero
        if self.entry:
            rule = dataclasses.replace(rule, entry=self.entry)
        if self.origin:
            rule, zero = dataclasses.replace(rule, origin=self.origin), self.origin
        changes = [f"from_{self.origin}"] * bool(self.origin) + ["late_entry"] * bool(self.entry)
        later = self.origin or self.entry
        asked = dataclasses.replace(
            known,
            name="_".join([known.name, *changes]),
            rule=rule,
            time_zero=zero,
            as_of=later or known.as_of,
            as_of_time=_known_by(later) if later else known.as_of_time,
            horizons=known.horizons if self.horizons is None else horizons_in_days(self.horizons),
            among=self.among or known.among,
            caveats=(*_said(self), *known.caveats),
        )
        if self.within is not None:
            asked = within(asked, parse_duration(self.within))
        return dataclasses.replace(asked, name=self.name or asked.name)

    def from_time_zero(self) -> RegisteredTimes:
        """The same with nobody entering late, counted from the time zero it is registered with."""
        return self.model_copy(update={"entry": "", "origin": "", "name": ""})


def _known_by(column: str) -> Measured:
    """The time that a column of days stands for."""
    return VOCABULARY[column].column.measured if column in VOCABULARY else "unknown"


def _said(section: RegisteredTimes) -> list[str]:
    """What reports say of an outcome that is asked otherwise than it is defined."""
    said = []
    if section.origin:
        said.append(f"Time is counted from {section.origin}, not as the definition says.")
    if section.entry:
        said.append(f"Nobody is at risk before {section.entry}.")
    return said


def horizons_in_days(horizons: tuple[str, ...]) -> tuple[float, ...]:
    """Days of horizons, ascending, each once."""
    return tuple(sorted({parse_duration(text) for text in horizons}))


def _complementary(state: StateColumn, other: StateColumn) -> StateColumn:
    """Of two states of one column the values of either mean that the other is not there."""
    if state.column != other.column or not state.negative:
        return state
    negative = (*state.negative, *(v for v in other.positive if v not in state.positive))
    return state.model_copy(update={"negative": tuple(dict.fromkeys(negative))})


def _state_rule(state: str | StateColumn) -> Rule:
    if isinstance(state, StateColumn):
        return ValueRule(state.column, state.positive, state.negative)
    return ValueRule(state) if _NAME.fullmatch(state) else ExpressionRule(state)


def _words(state: str | StateColumn) -> str:
    if isinstance(state, StateColumn):
        return f"{state.column} is {' or '.join(state.positive)}"
    return state
