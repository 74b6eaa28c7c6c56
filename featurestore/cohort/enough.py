"""Whether the patients of a cohort are enough to ask its outcome of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from featurestore.errors import DataError
from featurestore.outcomes import EVENT, TIME, Outcome, duration_words
from featurestore.outcomes.target import Kind
from featurestore.units import Noun

_SHORT = 40.0  # days; all follow-up of less is more likely months or years


def check_enough(
    patients: pd.DataFrame, outcome: Outcome, reasons: Sequence[str], noun: Noun
) -> None:
    """Refuses a cohort of which nothing can be learned.

    Args:
        patients: Those who are left.
        outcome: What is asked of them.
        reasons: Why each of the others was left out.
        noun: What they are called.

    Raises:
        DataError: There is nobody, or all of them have the same outcome; of times to an event: no
            event, nobody to compare an event with, or a horizon beyond the follow-up.
    """
    counted = pd.Series(list(reasons), dtype="str").value_counts()
    why = "; ".join(f"{count} left out: {reason}" for reason, count in counted.items())
    suffix = f" ({why})" if why else ""
    if patients.empty:
        raise DataError(f"the cohort has no {noun.one}{suffix}")
    _CHECKS[outcome.kind](patients, outcome, suffix, noun)


def _both_classes(patients: pd.DataFrame, outcome: Outcome, suffix: str, noun: Noun) -> None:
    events, n = int(patients["outcome"].sum()), len(patients)
    if not 0 < events < n:
        raise DataError(
            f"all {n} {noun.many} of the cohort have the same outcome "
            f"({outcome.name} = {int(events > 0)}); both classes are needed{suffix}"
        )


def _ordered_times(patients: pd.DataFrame, outcome: Outcome, suffix: str, noun: Noun) -> None:
    n, time = len(patients), patients[TIME]
    events = time[patients["outcome"] == EVENT]
    if events.empty:
        raise DataError(
            f"none of the {n} patients of the cohort has the event of {outcome.name}: all times "
            f"are censored{suffix}"
        )
    longest = float(time.max())
    if time.nunique() == 1:
        raise DataError(
            f"all {n} times of {outcome.name} are {duration_words(longest)}: ties everywhere, "
            f"and no order to learn{suffix}"
        )
    beyond = [h for h in outcome.horizons if h > longest]
    if beyond:
        hint = "; are its numbers days? (cohort.outcome.unit)" if longest < _SHORT else ""
        raise DataError(
            f"{outcome.name}: the horizon of {duration_words(beyond[0])} lies beyond the longest "
            f"follow-up, {duration_words(longest)}; name earlier ones (cohort.outcome.horizons)"
            f"{hint}"
        )


_CHECKS: dict[Kind, Callable[[pd.DataFrame, Outcome, str, Noun], None]] = {
    "binary": _both_classes,
    "time_to_event": _ordered_times,
}
