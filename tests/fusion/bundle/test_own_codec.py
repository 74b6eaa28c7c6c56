"""A model that is no part of melafuse can be bundled if it brings a codec of plain arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from featurestore.errors import ConfigError
from fusion.arms import Arm
from fusion.bundle.codecs import FITTED, Codec, State, find_codec, load_model, save_model
from fusion.features import FeatureTable, TabularEncoder
from fusion.models import own, register_model
from fusion.models.own_estimator import OwnClassifier
from fusion.testing.models import fit_model


def to_state(model: OwnClassifier) -> State:
    record, arrays = model.encoder_.to_state()
    fitted = model.estimator_
    whole = {"arm": dataclasses.asdict(model.arm), "encoder": record}
    return State(whole, arrays | {"coef": fitted.coef_, "intercept": fitted.intercept_})


def from_state(state: State) -> OwnClassifier:
    arm = Arm.from_record(state.record["arm"])
    model = OwnClassifier(arm, FITTED, LogisticRegression(), "linear")
    model.encoder_ = TabularEncoder.from_state(state.record["encoder"], state.arrays)
    model.estimator_ = LogisticRegression()
    model.estimator_.coef_ = state.arrays["coef"]
    model.estimator_.intercept_ = state.arrays["intercept"]
    model.estimator_.classes_ = np.array([0, 1])
    return model


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    register_model("linear", LogisticRegression(), codec=Codec(to_state, from_state))
    register_model("mute", LogisticRegression())
    yield
    own._registered.clear()


def test_a_codec_gives_the_same_bytes_after_a_trip_through_files(table: FeatureTable) -> None:
    model = fit_model("linear", table)
    files = save_model("linear", model, "m/0")
    again = load_model("linear", files, "m/0")
    assert again.predict_proba(table).tobytes() == model.predict_proba(table).tobytes()
    assert save_model("linear", again, "m/0") == files
    own._registered.clear()
    with pytest.raises(ConfigError, match="the bundle has the model 'linear', which is no part of"):
        load_model("linear", files, "m/0")


def test_without_a_codec_it_is_refused_with_a_reason() -> None:
    with pytest.raises(ConfigError, match=r"mute cannot be bundled \(mute is no part of melafuse"):
        find_codec("mute")
    with pytest.raises(ConfigError, match=r"svm cannot be bundled; these can: fusion_head"):
        find_codec("svm")
