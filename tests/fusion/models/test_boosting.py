"""The space that parameters of boosted trees are searched in."""

from __future__ import annotations

import optuna
import pytest

from fusion.config import SpaceConfig
from fusion.models.boosting import DEFAULTS, first_trial, search_space


def test_defaults_lie_in_the_search_space() -> None:
    drawn = search_space(SpaceConfig())(optuna.trial.FixedTrial(DEFAULTS))  # type: ignore[arg-type]
    assert drawn == DEFAULTS == first_trial(SpaceConfig())


def test_the_configured_bounds_hold_also_for_the_first_trial() -> None:
    space = SpaceConfig(num_leaves=(3, 5), lambda_l2=(2.0, 2.0))
    first = first_trial(space)
    assert (first["num_leaves"], first["lambda_l2"]) == (5, 2.0)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [search_space(space)(study.ask()) for _ in range(20)]
    assert {d["num_leaves"] for d in drawn} == {3, 4, 5}
    assert {d["lambda_l2"] for d in drawn} == {2.0}


@pytest.mark.parametrize("bounds", [(5, 3), (0, 8), (2, 10**6)])
def test_bounds_that_make_no_sense_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"num_leaves: .* lowest first"):
        SpaceConfig(num_leaves=bounds)
