"""Floors and clinical reference: who gets them, and by which columns."""

from __future__ import annotations

from collections.abc import Callable

from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.features.table import FeatureTable
from fusion.models.clinical_columns import reference_columns
from fusion.models.floors import with_floors
from fusion.models.registry import names_of


def test_floors_stand_behind_the_arms_once(
    table: FeatureTable,
    make_arm: Callable[[str, tuple[Modality, ...]], Arm],
    modalities: tuple[Modality, ...],
) -> None:
    arms = (make_arm("lightgbm", modalities), make_arm("clinical_reference", modalities))
    added = with_floors(arms, modalities, table.dictionary)[2:]
    assert [a.model for a in added] == ["prevalence", "permuted_labels"]
    assert [a.modality_text for a in added] == ["", "net_a+clinical+expression"]
    every = with_floors((), modalities, table.dictionary)
    assert tuple(a.model for a in every) == names_of("clinical reference", "floor", kind="binary")
    assert every[0].modality_text == "clinical"
    bare = with_floors((), modalities[:1], DataDictionary([]))
    assert [a.model for a in bare] == ["prevalence", "permuted_labels"]


def test_reference_columns_are_found_by_name_label_or_source() -> None:
    gdc = DataDictionary(
        [
            Column("stage", "ordinal", "staging", levels=("I", "II")),
            Column("depth", "numeric", "histopathology", source_column="breslow_depth_value"),
            Column("ulc", "nominal", "histopathology", "Melanoma ulceration indicator"),
            Column("age_at_initial_pathologic_diagnosis", "numeric", "demographic"),
            Column("breslow_missing_reason", "nominal", "histopathology"),
        ]
    )
    found = reference_columns(gdc)
    assert found is not None
    assert found.names == ("depth", "ulc", "age_at_initial_pathologic_diagnosis")


def test_demographics_stand_in_and_stage_is_not_age() -> None:
    isic = DataDictionary(
        [
            Column("stage", "numeric", "staging"),
            Column("age", "numeric", "demographic"),
            Column("sex", "nominal", "demographic"),
        ]
    )
    found = reference_columns(isic)
    assert found is not None
    assert (found.names, found.basis) == (("age", "sex"), "demographics")
    assert reference_columns(DataDictionary([Column("stage", "numeric", "staging")])) is None
    leaking = DataDictionary([Column("age", "numeric", "demographic", leaks=True)])
    assert reference_columns(leaking) is None
