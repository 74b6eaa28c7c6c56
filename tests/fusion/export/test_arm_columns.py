"""Names of arms that a person can read."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from featurestore.export.names import export_names
from fusion.export.arm_columns import arm_names


def test_arms_are_called_by_what_they_are() -> None:
    arms = ["logistic_regression[all]", "lightgbm[clinical+resnet18]", "prevalence"]
    assert list(arm_names(arms).values()) == ["lgbm_clinical_resnet18", "lr_all", "prevalence"]


def test_a_long_arm_has_one_hash_in_all_its_columns() -> None:
    arm = "fusion_head[demographic+histopathology+mutation+staging]"
    (name,) = arm_names([arm]).values()
    assert re.fullmatch(r"head_demographic_[0-9a-f]{6}", name)
    columns = [f"{prefix}{name}_r{repeat}" for prefix in ("p_", "lp_") for repeat in (0, 10)]
    assert export_names(columns) == {c: c for c in columns}  # nothing is added by the export


def test_arms_that_would_share_a_name_do_not() -> None:
    names = arm_names(["model[a+b]", "model[a_b]", "model[c]"])
    assert len(set(names.values())) == 3
    assert names["model[c]"] == "model_c"
    assert re.fullmatch(r"model_a_b_[0-9a-f]{6}", names["model[a+b]"])


@given(st.sets(st.text(min_size=1, max_size=60), max_size=8))
def test_any_arms_have_unlike_names_that_every_program_takes(arms: set[str]) -> None:
    names = arm_names(arms)
    columns = [f"lp_{name}" for name in names.values()]
    assert len(set(columns)) == len(arms)
    assert all(len(c) <= 32 for c in columns)
