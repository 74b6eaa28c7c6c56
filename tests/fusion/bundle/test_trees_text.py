"""What LightGBM could stumble over never reaches it."""

from __future__ import annotations

import re

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion.bundle.trees_text import END, require_sound, without_tail

FEATURES = 4


def fitted(leaves: int = 6, constant: bool = False) -> lightgbm.Booster:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, FEATURES))
    x[:, 3] = 0.0  # LightGBM calls such a column `none`
    y = (x[:, 0] + rng.normal(size=200) > 0).astype(float)
    least = 150 if constant else 5
    settings = {"objective": "binary", "num_leaves": leaves, "verbosity": -1,
                "min_child_samples": least, "num_threads": 1}  # fmt: skip
    return lightgbm.train(settings, lightgbm.Dataset(x, y), 5)


TEXT = without_tail(fitted().model_to_string())


@pytest.mark.parametrize("booster", [fitted(), fitted(2), fitted(31), fitted(constant=True)])
def test_what_lightgbm_writes_is_sound_and_predicts_the_same(booster: lightgbm.Booster) -> None:
    text = without_tail(booster.model_to_string())
    require_sound(text, FEATURES)
    x = np.random.default_rng(1).normal(size=(50, FEATURES))
    again = lightgbm.Booster(model_str=text)
    assert again.predict(x).tobytes() == booster.predict(x).tobytes()
    assert without_tail(again.model_to_string()) == text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tree\n", "forest\n", "header"),
        ("num_class=1", "num_class=2", "num_class"),
        ("max_feature_idx=3", "max_feature_idx=2", "inputs"),
        (" Column_3", "", "inputs"),
        ("Tree=2\n", "Tree=3\n", "tree 2"),
        ("num_cat=0", "num_cat=1", "numeric"),
        ("is_linear=0", "is_linear=1", "linear"),
        ("decision_type=2", "decision_type=1", "kind"),
        ("split_feature=0", "split_feature=9", "there is not"),
        (END, "", "long|end"),
    ],
)
def test_what_it_would_not_write_is_refused(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=said):
        require_sound(_resized(TEXT.replace(old, new, 1)), FEATURES)


@pytest.mark.parametrize("child", ["0", "5", "-7", "-1", "999999"])
def test_children_lead_to_every_leaf_once(child: str) -> None:
    changed = re.sub(r"left_child=\S+", f"left_child={child}", TEXT, count=1)
    if changed == TEXT:
        pytest.skip("that is what the tree has")
    with pytest.raises(ValueError, match="tree 0"):
        require_sound(_resized(changed), FEATURES)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_text_is_refused_or_read(data: st.DataObject) -> None:
    """Whatever passes the check is given to LightGBM, which must survive it."""
    place = data.draw(st.integers(0, len(TEXT) - 1))
    kind = data.draw(st.sampled_from(["cut", "change", "drop", "double"]))
    damaged = {
        "cut": TEXT[:place],
        "change": TEXT[:place] + data.draw(st.sampled_from("0129-+.e= \nx")) + TEXT[place + 1 :],
        "drop": TEXT[:place] + TEXT[place + 1 :],
        "double": TEXT[:place] + TEXT[place] + TEXT[place:],
    }[kind]
    try:
        require_sound(damaged, FEATURES)
    except ValueError:
        return
    predicted = lightgbm.Booster(model_str=damaged).predict(np.zeros((3, FEATURES)))
    assert np.isfinite(predicted).all()


def _resized(text: str) -> str:
    """The text with the sizes that its trees have now, so that other checks are reached."""
    head, _, rest = text.partition("\n\n")
    blocks = [b for b in re.split(r"(?=^Tree=)", rest.removesuffix(END), flags=re.M) if b]
    sizes = " ".join(str(len(block)) for block in blocks)
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", head) + "\n\n" + rest
