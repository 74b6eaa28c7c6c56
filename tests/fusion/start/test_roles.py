"""The section of modalities by role, whatever roles are called."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from featurestore.cohort import ImageRoles
from featurestore.config import validate
from featurestore.yaml_text import parse_yaml_words
from fusion.config import AblationConfig, RunConfig
from fusion.start.propose.roles import modalities_by_role

CONFIG = validate(
    RunConfig,
    {
        "name": "s",
        "cohort": {"outcome": "synthetic_metastasis", "sources": [{"kind": "synthetic"}]},
    },
    "a test",
)
WORDS = ("close-up", "dermoscopic", "Close-up", "null", "true", "a: b", "x\ny", "clinical")
ROLE = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
)


@given(roles=st.lists(ROLE, min_size=2, max_size=5, unique=True))
@settings(max_examples=60, deadline=None)
def test_every_role_is_a_modality_of_its_own(roles: list[str]) -> None:
    found = ImageRoles(dict.fromkeys(sorted(roles), 3), patients=3, several=3)
    text = modalities_by_role(CONFIG, found, ["demographic", "expression"])
    written = parse_yaml_words(text)["ablation"]
    modalities = validate(AblationConfig, written, "a test").modalities
    assert modalities is not None
    assert {m.role for m in modalities.values() if m.role is not None} == set(roles)
    assert modalities["clinical"].groups == ("demographic",)
    assert modalities["expression"].groups == ("expression",)


def test_nothing_is_written_where_roles_do_not_belong_together() -> None:
    apart = ImageRoles({"close-up": 20, "dermoscopic": 20}, patients=40)
    assert modalities_by_role(CONFIG, apart, ["demographic"]) == ""
