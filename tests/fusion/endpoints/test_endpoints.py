"""Each kind of endpoint names only what the floors above have."""

from __future__ import annotations

import pytest

from featurestore.errors import ConfigError
from featurestore.outcomes import TARGETS
from fusion.endpoints import ENDPOINTS, find_endpoint
from fusion.evaluation.predictions import KEY_TYPES, prediction_types
from fusion.metrics import METRICS
from fusion.models.registry import MODELS, names_of


def test_every_kind_of_target_has_an_endpoint_and_the_other_way_round() -> None:
    assert ENDPOINTS.keys() == TARGETS.keys()


def test_the_binary_endpoint_names_what_there_is() -> None:
    binary = ENDPOINTS["binary"]
    assert binary.headline in METRICS
    assert set(binary.tested) <= METRICS.keys()
    assert binary.tested[0] == binary.headline
    assert {*binary.floors, binary.clinical_reference} <= MODELS.keys()
    assert set(binary.floors) == set(names_of("floor"))
    assert (binary.clinical_reference,) == names_of("clinical reference")
    assert binary.exported.keys() <= binary.predictions.keys()


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
