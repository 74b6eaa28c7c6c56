"""Each kind of endpoint names only what the floors above have."""

from __future__ import annotations

import pytest

from featurestore.errors import ConfigError
from featurestore.outcomes import TARGETS
from fusion.endpoints import ENDPOINTS, find_endpoint
from fusion.evaluation.predicting import PREDICTING
from fusion.evaluation.predictions import KEY_TYPES, prediction_types
from fusion.metrics import METRICS
from fusion.models.explanation import MEASURES
from fusion.models.registry import FAMILIES, names_of
from fusion.models.survival.losses import LOSSES


def test_every_kind_of_target_has_an_endpoint_and_the_other_way_round() -> None:
    assert ENDPOINTS.keys() == TARGETS.keys()


def test_the_binary_endpoint_names_what_there_is() -> None:
    binary = ENDPOINTS["binary"]
    assert binary.headline in METRICS
    assert set(binary.tested) <= METRICS.keys()
    assert binary.tested[0] == binary.headline
    assert binary.exported.keys() <= binary.predictions.keys()


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_every_endpoint_names_models_that_its_kind_has(kind: str) -> None:
    endpoint = ENDPOINTS[kind]
    assert {*endpoint.models, *endpoint.arms} <= FAMILIES[kind].models.keys()
    assert endpoint.floors == names_of("floor", kind=kind)
    assert endpoint.clinical_reference == names_of("clinical reference", kind=kind)[0]
    assert kind in PREDICTING
    assert kind in MEASURES


def test_the_loss_of_heads_is_one_of_the_losses() -> None:
    assert ENDPOINTS["time_to_event"].loss in LOSSES


def test_risks_have_a_column_a_horizon() -> None:
    times = ENDPOINTS["time_to_event"]
    assert times.horizon_columns([730.5, 1826]) == ["risk_at_730.5", "risk_at_1826"]
    assert ENDPOINTS["binary"].horizon_columns([730.5]) == []
    types = prediction_types("time_to_event", ["risk_at_365", "other"])
    assert list(types)[len(KEY_TYPES) :] == [*times.predictions, "risk_at_365"]


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_predictions_begin_with_the_keys_of_a_row(kind: str) -> None:
    assert list(prediction_types(kind))[: len(KEY_TYPES)] == list(KEY_TYPES)
    assert not KEY_TYPES.keys() & ENDPOINTS[kind].predictions.keys()


def test_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(
        ConfigError, match="unknown kind of outcome 'ordinal'; known: binary, time_to_event"
    ):
        find_endpoint("ordinal")
