"""What every report must beat: the floors, and the clinical reference."""

from __future__ import annotations

from featurestore.tables import DataDictionary
from fusion.arms import Arm, Modality
from fusion.models.clinical_columns import ReferenceColumns
from fusion.models.registry import find_model, names_of


def with_floors(
    arms: tuple[Arm, ...],
    modalities: tuple[Modality, ...],
    dictionary: DataDictionary,
    kind: str = "binary",
) -> tuple[Arm, ...]:
    """Adds clinical references and the floors behind the arms that were asked for.

    A floor that is an arm already is not added again. A cohort without the columns of a clinical
    reference (of the first: Breslow thickness, ulceration and demographics) does not get it.

    Args:
        arms: Arms of the ablation.
        modalities: All modalities.
        dictionary: Patient columns.
        kind: Kind of the outcome.
    """
    have = {arm.model for arm in arms}
    added = []
    for model in names_of("clinical reference", "floor", kind=kind):
        found = find_model(model, kind)
        if model in have:
            continue
        if found.columns is not None:
            columns = found.columns(dictionary)
            if columns is not None:
                added.append(Arm(model, model, _holding(columns, modalities, dictionary)))
        else:
            added.append(Arm(model, model, modalities if found.permuted else ()))
    return (*arms, *added)


def _holding(
    columns: ReferenceColumns, modalities: tuple[Modality, ...], dictionary: DataDictionary
) -> tuple[Modality, ...]:
    """Modalities that the columns belong to, or one of their own where none has them."""
    holding = tuple(m for m in modalities if set(columns.names) & set(m.columns(dictionary)))
    if holding:
        return holding
    groups = dict.fromkeys(dictionary[name].group for name in columns.names)
    return (Modality("clinical", groups=tuple(groups)),)
