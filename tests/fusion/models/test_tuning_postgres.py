"""Studies on a real PostgreSQL server, which is killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest
from postgres_example import Server, postgres

from featurestore.errors import ConfigError
from fusion.models.study_location import StudyLocation
from fusion.models.tuning import FoldScore, Parameters, TuningResult, tune, with_driver

TRIALS = 9


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as started:
        yield started


def space(trial: optuna.Trial) -> Parameters:
    return {"x": trial.suggest_float("x", 0.0, 1.0)}


class Hill:
    """Highest at x = 0.7; something happens at a call."""

    def __init__(self, at: int = -1, server: Server | None = None) -> None:
        self.calls, self.at, self.server = 0, at, server

    def __call__(self, parameters: Parameters, fold: int) -> FoldScore:
        self.calls += 1
        if self.calls == self.at:
            assert self.server is not None
            self.server.crash()
        height = 1 - (parameters["x"] - 0.7) ** 2 - 0.01 * fold
        return FoldScore(height, 1 - height)


def run(evaluate: Hill, location: StudyLocation | None) -> TuningResult:
    return tune(evaluate, 2, space, {"x": 0.1}, TRIALS, 5, location)


@pytest.mark.slow
def test_a_killed_database_costs_no_trial_that_was_finished(server: Server) -> None:
    location = StudyLocation(server.url, "run/study")
    with pytest.raises(ConfigError, match=r"ablation\.tuning\.storage: cannot use postgresql:"):
        run(Hill(at=10, server=server), location)
    with pytest.raises(ConfigError, match=r"ablation\.tuning\.storage: cannot use postgresql:"):
        run(Hill(), location)  # it is still down
    server.start()
    rest = Hill()
    assert run(rest, location) == run(Hill(), None)
    assert 0 < rest.calls < 2 * TRIALS - 6
    again = Hill()
    assert run(again, location).best == run(Hill(), None).best
    assert again.calls == 0


def test_a_driver_is_named_where_a_url_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://user:word@host:5432/name?a=b://c"
    find = "fusion.models.tuning.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    assert with_driver(url) == url
    monkeypatch.setattr(find, lambda name: name == "psycopg" or None)
    assert with_driver(url) == "postgresql+psycopg://user:word@host:5432/name?a=b://c"
    for other in ("postgresql+psycopg2://h/n", "sqlite:///a.db", "mysql://h/n"):
        assert with_driver(other) == other
