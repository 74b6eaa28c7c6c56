"""Proposes an outcome out of the columns that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from featurestore.cohort.outcome_counts import OutcomeCounts, count_outcomes
from featurestore.errors import MelafuseError
from featurestore.outcomes import OUTCOMES
from featurestore.outcomes.lesion_classes import LESION_OUTCOMES
from featurestore.outcomes.synthetic import (
    SYNTHETIC_METASTASIS,
    SYNTHETIC_METASTASIS_FREE_SURVIVAL,
)
from featurestore.sources import SourceTables
from fusion.start.propose.tables import ProposedSource
from fusion.start.propose.times import paired_times

_SYNTHETIC = (SYNTHETIC_METASTASIS, SYNTHETIC_METASTASIS_FREE_SURVIVAL)
UNDECIDED = "REPLACE_ME"
_ENOUGH = 10
_MOST_TOGETHER = 4
MOST_FOLDS = 5
LEAST = 4  # of each class: three must be left for the inner folds of an outer training part
# What metastasis studies ask comes first; the state of the specimen is no prognosis and comes last.
_PREFERRED = (
    "distant_metastasis",
    "distant_metastasis_primary_only",
    "node_positive",
    "m1_at_diagnosis",
    "stage_iv",
    "melanoma",
    "malignant",
    "melanoma_metastasis",
    "specimen_metastatic",
)


@dataclasses.dataclass(frozen=True)
class ProposedOutcome:
    """What is to be predicted.

    Attributes:
        value: Name of a registered outcome, or keys of one that the configuration defines.
        why: Why, and what else is possible, in sentences.
        least: Patients in the smaller class, 0 if nothing could be proposed.
        together: Registered outcomes of which one run can study each, this one first; empty if
            there are no others.
    """

    value: str | dict[str, Any]
    why: tuple[str, ...]
    least: int
    together: tuple[str, ...] = ()


def propose_outcome(sources: Sequence[ProposedSource]) -> ProposedOutcome:
    """Takes a named outcome whose label is there, else a column that looks like one.

    Args:
        sources: The sources that are used, all of them read.
    """
    named = _named(sources) if any(source.tables is not None for source in sources) else {}
    times = _times(sources, named)
    named = {name: counts for name, counts in named.items() if counts.kind == "binary"}
    found = _proposed(sources, named)
    return dataclasses.replace(found, why=(*found.why, *times))


def _proposed(
    sources: Sequence[ProposedSource], named: dict[str, OutcomeCounts]
) -> ProposedOutcome:
    classes = [outcome.name for outcome in LESION_OUTCOMES if outcome.name in named]
    first = [name for name in _PREFERRED if name in named]
    first += sorted(named.keys() - set(_PREFERRED) - set(classes))
    order = first + classes
    if order:
        fit = (
            n for o in (first, classes) for k in (_ENOUGH, LEAST) for n in o if named[n].least >= k
        )
        chosen = next(fit, order[0])
        why = [
            f"{_counts(named[chosen].events, named[chosen].others)}: {OUTCOMES[chosen].definition}"
        ]
        why += [f"caveat: {caveat}" for caveat in OUTCOMES[chosen].caveats]
        others = [
            f"{name} ({_counts(named[name].events, named[name].others)})"
            for name in order
            if name != chosen
        ]
        why += [f"also possible: {', '.join(others)}"] if others else []
        enough = max(LEAST, min(named[chosen].least, MOST_FOLDS))
        ample = [name for name in order if name != chosen and named[name].least >= enough]
        together = (chosen, *ample[: _MOST_TOGETHER - 1]) if ample else ()
        return ProposedOutcome(chosen, tuple(why), named[chosen].least, together)
    for source in sources:
        if source.label is not None:
            return _from_label(source)
    if not any(source.tables is not None for source in sources):
        return _undecided(f"no source could be read; named outcomes: {', '.join(sorted(OUTCOMES))}")
    candidates = [name for source in sources for name in source.candidates]
    hint = f"; columns of two values: {', '.join(candidates)}" if candidates else ""
    return _undecided(f"name the column and its values, and put it under labels{hint}")


def _times(sources: Sequence[ProposedSource], named: dict[str, OutcomeCounts]) -> tuple[str, ...]:
    """What is said of times to events; none is ever chosen, because time zero is for a person."""
    registered = [
        f"{name} ({counts.words})"
        for name, counts in named.items()
        if counts.kind == "time_to_event"
    ]
    said = [f"times to an event, also possible: {', '.join(registered)}"] if registered else []
    plain = [s for s in sources if s.section["kind"] == "table" and s.tables is not None]
    paired = [p for s in plain if s.tables is not None for p in paired_times(_columns(s.tables))]
    said += [f"a time to an event, if these columns are one: {line}" for line in paired]
    return tuple(said)


def _columns(tables: SourceTables) -> list[str]:
    return [str(name) for name in tables.patients.columns if name != "patient_id"]


def _undecided(advice: str) -> ProposedOutcome:
    value = {"name": "outcome", "column": UNDECIDED, "positive": ["1"], "negative": ["0"]}
    return ProposedOutcome(value, (f"COULD NOT BE GUESSED: {advice}",), 0)


def _from_label(source: ProposedSource) -> ProposedOutcome:
    label = source.label
    assert label is not None  # the caller looked
    value: dict[str, Any] = {
        "name": label.name[:64].strip("_"),
        "definition": f"{label.column} is {label.positive} in {source.section['path']}",
        "column": label.name,
        "positive": [label.positive],
        "negative": [label.negative],
    }
    if label.deny:
        value["deny"] = list(label.deny)
    why = [label.why, _counts(label.events, label.others)]
    why += [f"withheld: {name}, {reason}" for name, reason in label.deny.items()]
    if source.candidates:
        why.append(f"other columns of two values: {', '.join(source.candidates)}")
    return ProposedOutcome(value, tuple(why), min(label.events, label.others))


def _named(sources: Sequence[ProposedSource]) -> dict[str, OutcomeCounts]:
    """Patients with and without each registered outcome whose label is there."""
    tables = [source.tables for source in sources if source.tables is not None]
    found = {}
    synthetic = any(table.synthetic for table in tables)
    for name, outcome in OUTCOMES.items():
        if outcome in _SYNTHETIC and not synthetic:
            continue  # a column of real patients may be called like its label
        try:
            counts = count_outcomes(tables, "patient", outcome)
        except MelafuseError:  # its columns are not there
            continue
        if counts.least:
            found[name] = counts
    return found


def _shown(counts: OutcomeCounts) -> str:
    return _counts(counts.events, counts.others)


def _counts(events: int, others: int) -> str:
    return f"{events:,} with, {others:,} without"
