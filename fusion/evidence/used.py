"""What ran: the models that were fitted, what they looked at, and what they did not."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from featurestore.cohort import Cohort, roles_of_images
from featurestore.tables import Column
from fusion.evidence.about import RunFacts
from fusion.evidence.aligned import REFERENCES, ArmLike
from fusion.models import MODELS, names_of, reference_columns
from fusion.roles import role_of

OURS = names_of("arm", "clinical reference", "floor")
"""Models of melafuse itself, of any kind of outcome."""


@dataclasses.dataclass(frozen=True)
class FittedModels:
    """Names of the models with predictions, by how they are fitted.

    Attributes:
        heads: Neural networks: fusion heads, joint networks, and what is stacked on heads.
        joint: Those of them that train the encoders too.
        tuned: Those that Optuna tunes.
        grid: Those that choose along a fixed grid.
        sampled: Those that weighted sampling of events reaches.
        own: Those that are no part of melafuse, with what they are for people.
        outside: Arms whose predictions were made outside of the run.
    """

    heads: tuple[str, ...] = ()
    joint: tuple[str, ...] = ()
    tuned: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()
    sampled: tuple[str, ...] = ()
    own: Mapping[str, str] = dataclasses.field(default_factory=dict)
    outside: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Used:
    """What the fitted arms of the ablation table looked at.

    Attributes:
        models: Their models.
        columns: Names of the patient columns that at least one of them saw, by group.
        embeddings: Names of the encoders whose embeddings one of them saw.
        idle: Usable columns that none of them saw.
        withheld: Columns that no model may see: they reveal the outcome or become known too late.
        missing: Of the used columns with a missing value, how many there are of each kind.
        kinds: Of the used columns, how many there are of each kind.
        measured: Of the used columns, how many become known at each time.
        without_image: Patients without an image.
        several_images: Whether a patient's score is a mean over images: an embedding of any image
            was seen, and a patient has more than one.
        without_role: Of embeddings by role, patients without an image of each role.
    """

    models: FittedModels
    columns: dict[str, tuple[str, ...]]
    embeddings: tuple[str, ...]
    idle: tuple[str, ...]
    withheld: tuple[str, ...]
    missing: dict[str, int]
    kinds: dict[str, int]
    measured: dict[str, int]
    without_image: int
    several_images: bool
    without_role: dict[str, int] = dataclasses.field(default_factory=dict)


def used(
    run: RunFacts,
    cohort: Cohort,
    predicted: Iterable[ArmLike],
    fits: Sequence[Mapping[str, Any]] = (),
) -> Used:
    """Finds out what ran.

    Args:
        run: Has the modalities.
        cohort: The cohort.
        predicted: Arms with predictions: another was not fitted.
        fits: Records of `choices.json`.
    """
    by_name = {modality.name: modality for modality in run.analysis.modalities}
    arms = [arm for arm in predicted if arm.kind != "design"]
    seen: set[str] = set()
    embeddings: dict[str, None] = {}
    for arm in arms:
        if arm.model in REFERENCES:
            found = reference_columns(cohort.dictionary)
            seen |= set(found.names) if found is not None else set()
            continue
        modalities = [by_name[name] for name in arm.modalities if name in by_name]
        seen |= {name for modality in modalities for name in modality.columns(cohort.dictionary)}
        embeddings |= dict.fromkeys(name for m in modalities for name in m.embeddings)
    columns = [c for c in cohort.dictionary.features() if c.name in seen]
    images = cohort.images["patient_id"].value_counts()
    patients = cohort.patients
    roles = roles_of_images(cohort.images)
    without_role = {
        role: int(
            (~patients["patient_id"].isin(cohort.images.loc[roles == role, "patient_id"])).sum()
        )
        for role in dict.fromkeys(map(role_of, embeddings))
        if role
    }
    return Used(
        models=fitted_models(dict.fromkeys(arm.model for arm in arms), fits),
        columns=_by_group(columns),
        embeddings=tuple(embeddings),
        idle=tuple(c.name for c in cohort.dictionary.features() if c.name not in seen),
        withheld=tuple(c.name for c in cohort.dictionary if c.leaks),
        missing=dict(Counter(c.kind for c in columns if patients[c.name].isna().any())),
        kinds=dict(Counter(c.kind for c in columns)),
        measured=dict(Counter(c.measured for c in columns)),
        without_image=int((~patients["patient_id"].isin(images.index)).sum()),
        several_images=bool((images > 1).any()) and any(not role_of(name) for name in embeddings),
        without_role=without_role,
    )


def fitted_models(names: Iterable[str], fits: Sequence[Mapping[str, Any]] = ()) -> FittedModels:
    """Parts the models that were fitted by how.

    Args:
        names: Of all models with predictions.
        fits: Records of `choices.json`.
    """
    names = tuple(names)
    kinds = {name: MODELS[name] for name in names if name in MODELS}
    brought = {fit["model"]: fit.get("brought") for fit in fits}
    heads = tuple(name for name, kind in kinds.items() if "head" in kind.sections)
    tuned = tuple(name for name, kind in kinds.items() if kind.tuned)
    return FittedModels(
        heads=heads,
        joint=tuple(name for name, kind in kinds.items() if "joint" in kind.sections),
        tuned=tuned,
        grid=tuple(n for n in kinds if n not in {*heads, *tuned, "prevalence"}),
        sampled=tuple(name for name, kind in kinds.items() if kind.sampled),
        own={name: _told(what) for name in names if (what := brought.get(name))},
        outside=tuple(name for name in names if name not in {*brought, *OURS}),
    )


def _told(brought: Mapping[str, Any]) -> str:
    """What somebody's model is: its class, and the package that has it."""
    name = str(brought.get("class") or brought.get("model") or "").rpartition(".")[2]
    stated = [(brought["package"], brought["version"])] if "package" in brought else []
    packages = ", ".join(f"{p} {v}" for p, v in (*brought.get("packages", ()), *stated))
    return f"{name} ({packages})" if packages else f"{name} (of no package)"


def _by_group(columns: Iterable[Column]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for column in columns:
        groups[column.group] = (*groups.get(column.group, ()), column.name)
    return groups


NOTHING_USED = Used(FittedModels(), {}, (), (), (), {}, {}, {}, 0, False)
"""Of evidence that was made by hand."""
