"""What was learned from whom: every fitted step and every encoder against the outer test patients.

The ledger (`fusion.ledger`) holds the patients of each step of each fit. A step that is fitted on,
or chosen by, a test patient makes the test part part of the training.
"""

from __future__ import annotations

from collections.abc import Iterator

from featurestore.errors import name_some
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.ledger import FitRecord, Role, StepRecord


def _has_ledger(subject: AuditSubject) -> str:
    if subject.fits or subject.predictions is not None:
        return ""
    return "nothing was fitted yet: run the ablation first"


def _has_encoders(subject: AuditSubject) -> str:
    return "" if any(subject.encoders.values()) else "there are no encoders"


def _outside(subject: AuditSubject, role: Role) -> Iterator[tuple[str, StepRecord, FitRecord, int]]:
    """For each arm and step that saw others than training patients: the first fit, and how many."""
    found: dict[tuple[str, str], list[tuple[StepRecord, FitRecord]]] = {}
    for fit in subject.fits:
        for step in fit.steps:
            if step.role == role and step.outside_training:
                found.setdefault((fit.arm, step.step), []).append((step, fit))
    for (arm, _), places in sorted(found.items()):
        step, fit = min(places, key=lambda place: (place[1].repeat, place[1].fold))
        yield arm, step, fit, len(places)


def _hits(subject: AuditSubject, role: Role, doing: str) -> Iterator[Hit]:
    for arm, step, fit, places in _outside(subject, role):
        more = f" (and in {places - 1} more folds)" if places > 1 else ""
        yield Hit(
            f"{step.step} of {arm} was {doing} {len(step.outside_training)} {{patients}} who are "
            f"no training {{patients}} of repeat {fit.repeat}, fold {fit.fold}{more}: "
            f"{name_some(step.outside_training)}.",
            (arm, step.step),
            float(len(step.outside_training)),
        )


def _unrecorded(subject: AuditSubject, role: Role, doing: str) -> Iterator[Hit]:
    """Arms with predictions of folds for which no step of this role is on record."""
    if subject.predictions is None:
        return
    told = {
        (fit.arm, fit.repeat, fit.fold)
        for fit in subject.fits
        if any(step.role == role for step in fit.steps)
    }
    made = subject.predictions[["arm", "repeat", "fold"]].drop_duplicates()
    untold: dict[str, int] = {}
    for arm, repeat, fold in sorted(made.itertuples(index=False, name=None)):
        if (arm, repeat, fold) not in told:
            untold[arm] = untold.get(arm, 0) + 1
    for arm, folds in untold.items():
        yield Hit(
            f"Nothing records whom {arm} was {doing} in {folds} folds, so nothing shows that no "
            f"test {{patient}} was among them.",
            (arm,),
            float(folds),
            severity="warning",
        )


def _transform_saw_test(subject: AuditSubject) -> Iterator[Hit]:
    yield from _hits(subject, "fitted on", "fitted on")
    yield from _unrecorded(subject, "fitted on", "fitted on")


def _selection_on_test(subject: AuditSubject) -> Iterator[Hit]:
    yield from _hits(subject, "selected on", "chosen by the outcomes of")
    yield from _unrecorded(subject, "selected on", "chosen by")


def _encoder_saw_test(subject: AuditSubject) -> Iterator[Hit]:
    patients = subject.cohort.patients
    of_group = patients["patient_id"].map(dict(subject.groups)).fillna(patients["patient_id"])
    # Encoders from elsewhere are known by patients, whatever is scored.
    groups = {**dict(zip(patients["person_id"], of_group, strict=True)), **subject.groups}
    seen: dict[tuple[str, str], list[str]] = {}
    for (repeat, fold), encoders in sorted(subject.encoders.items()):
        tied = {groups.get(p, p) for p in subject.folds.test((repeat, fold))}
        for name, identity in sorted(encoders.items()):
            # A patient who shares an image with a test patient is one, too.
            both = [p for p in identity.training_patients if groups.get(p, p) in tied]
            if both:
                places = seen.setdefault((name, identity.short), [])
                places.append(f"{len(both)} in repeat {repeat}, fold {fold} ({name_some(both)})")
    for (name, short), places in seen.items():
        yield Hit(
            f"Encoder {name} ({short}) was trained on {{patients}} that are tested: "
            f"{'; '.join(places[:3])}{' and in more folds' if len(places) > 3 else ''}.",
            (name,),
            float(len(places)),
        )


CHECKS: tuple[Check, ...] = (
    Check(
        name="transform_saw_test",
        title="Fitted step that saw test {patients}",
        looks_at=(
            "The {patients} that every imputation, scaling, reduction, model and calibration was "
            "fitted on, against the training {patients} of its outer fold; a warning where none "
            "are on record."
        ),
        severity="invalidates",
        advice="Fit the step inside the outer training part.",
        find=_transform_saw_test,
        applies=_has_ledger,
        acceptable=False,
    ),
    Check(
        name="selection_on_test",
        title="Selection on test {patients}",
        looks_at=(
            "The {patients} whose outcomes chose settings, epochs, rounds and thresholds, against "
            "the training {patients} of the outer fold; a warning where none are on record."
        ),
        severity="invalidates",
        advice="Choose on inner folds of the outer training part.",
        find=_selection_on_test,
        applies=_has_ledger,
        acceptable=False,
    ),
    Check(
        name="encoder_saw_test",
        title="Encoder that was trained on test {patients}",
        looks_at=(
            "The training {patients} in the identity of every encoder, against the test {patients} "
            "of each fold it embeds for, and those who share an image with them."
        ),
        severity="invalidates",
        advice="Fine-tune one encoder an outer fold (section `finetune`), or on other {patients}.",
        find=_encoder_saw_test,
        applies=_has_encoders,
        acceptable=False,
    ),
)
