"""A study in MLflow: one experiment, a parent run for the study, a child run for every arm.

The parent has the parameters, the metrics of the baseline arm and the report; each child has the
metrics of its arm. An interval is two further metrics, `auroc_low` and `auroc_high`. Parameters of
an MLflow run can never change, so a study that changed becomes new runs; the earlier ones are
deleted the way MLflow deletes, and can be restored there until `mlflow gc`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.errors import ConfigError, DataError, one_line, redacted
from fusion.publish.base import Publication, PublishedArm, State, write_files

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PREFIX = "melafuse."
NAME, DIGEST, PARENT = f"{PREFIX}name", f"{PREFIX}digest", "mlflow.parentRunId"
MISSING = (
    "publishing to MLflow needs the extra `publish`: pip install 'melafuse[publish]' "
    "(mlflow-skinny, sqlalchemy, alembic)"
)
_UNNAMEABLE = re.compile(r"[^\w./ :-]")
_QUIET = ("mlflow", "alembic")
_CHUNK = 100
"""Most parameters and tags of one request."""


class MlflowRuns:
    """Runs in a tracking store of MLflow."""

    name = "mlflow"
    place = "URI"

    def require(self, where: str) -> None:
        """See `fusion.publish.base.Publisher`."""
        database = _database(where)
        if database is not None and not database.parent.is_dir():
            raise ConfigError(f"mlflow:{where}: there is no folder {database.parent}")
        with _errors(where):
            _import_quietly()
            import alembic  # noqa: F401 - a database needs both, and MLflow says so too late
            import sqlalchemy  # noqa: F401

    def publish(self, publication: Publication, where: str) -> State:
        """See `fusion.publish.base.Publisher`."""
        with _errors(where):
            client = _client(where)
            experiment = _experiment(client, publication.study, where)
            known = _runs(client, experiment)
            earlier = [r for r in known if r.data.tags.get(NAME) == publication.name]
            if _is_whole(earlier, known, publication):
                return "unchanged"
            _write(client, experiment, publication)
            for run in earlier:
                for one in (*_children(run, known), run):
                    client.delete_run(one.info.run_id)
            return "updated" if earlier else "published"


@contextlib.contextmanager
def _errors(where: str) -> Iterator[None]:
    """Turns what MLflow and its database raise into one line."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"{MISSING}; missing: {error.name}") from None
    except (ConfigError, DataError):
        raise
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("mlflow", "sqlalchemy", "alembic"):
            raise
        raise DataError(f"MLflow at {redacted(where)}: {redacted(one_line(error))}") from None


def _import_quietly() -> None:
    """Imports MLflow so that it tells nobody of its use, and reports problems only."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    import mlflow  # noqa: F401

    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _client(where: str) -> MlflowClient:
    """A client of a store.

    MLflow refuses folders (`file:`) unless asked: it keeps them readable, and no longer works on
    them. Whoever names one asks for it.
    """
    if where.startswith("file:"):
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    _import_quietly()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=where)


def _database(where: str) -> Path | None:
    """File of an SQLite store."""
    return Path(where.removeprefix("sqlite:///")) if where.startswith("sqlite:///") else None


def _experiment(client: MlflowClient, study: str, where: str) -> str:
    """Id of the experiment of a study.

    Files of an SQLite store lie beside it: MLflow would put them into the working folder.
    """
    found = client.get_experiment_by_name(study)
    if found is not None and found.lifecycle_stage == "active":
        return str(found.experiment_id)
    if found is not None:
        raise ConfigError(
            f"the experiment {study} at {where} is deleted; restore it "
            f"(mlflow experiments restore -x {found.experiment_id}), or rename the study"
        )
    database, location = _database(where), None
    if database is not None:
        location = (database.resolve().parent / "mlartifacts" / study).as_uri()
    return str(client.create_experiment(study, artifact_location=location))


def _children(parent: Run, known: list[Run]) -> list[Run]:
    return [r for r in known if r.data.tags.get(PARENT) == parent.info.run_id]


def _runs(client: MlflowClient, experiment: str) -> list[Run]:
    """All runs of an experiment that are not deleted."""
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _is_whole(earlier: list[Run], known: list[Run], publication: Publication) -> bool:
    """Whether exactly this publication is there, with all its arms."""
    if len(earlier) != 1 or earlier[0].info.status != "FINISHED":
        return False
    if earlier[0].data.tags.get(DIGEST) != publication.digest:
        return False
    return len(_children(earlier[0], known)) == len(publication.arms)


def _write(client: MlflowClient, experiment: str, publication: Publication) -> None:
    """Writes all runs; the digest, which makes the parent count, comes last."""
    shared = _shared_tags(publication)
    own = {NAME: publication.name, "mlflow.note.content": _note(publication)}
    parent = _start(client, experiment, publication.name, shared | own)
    for arm in publication.arms:
        tags = shared | {PARENT: parent, f"{PREFIX}arm": arm.arm}
        tags |= {f"{PREFIX}kind": arm.kind}
        child = _start(client, experiment, arm.arm, tags)
        _log(client, child, _arm_parameters(arm), _metrics(arm))
        client.set_terminated(child)
    baseline = next(a for a in publication.arms if a.arm == publication.baseline)
    _log(client, parent, publication.parameters, _metrics(baseline))
    with tempfile.TemporaryDirectory() as folder:
        files = {**publication.files, "model_card.md": publication.card.encode()}
        write_files({f"report/{name}": content for name, content in files.items()}, Path(folder))
        write_files(publication.bundle, Path(folder))
        client.log_artifacts(parent, folder)
    client.set_tag(parent, DIGEST, publication.digest)
    client.set_terminated(parent)


def _start(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> str:
    run = client.create_run(experiment, run_name=name, tags=dict(tags))
    return str(run.info.run_id)


def _log(
    client: MlflowClient, run: str, parameters: Mapping[str, str], metrics: Mapping[str, float]
) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(_named(k), v) for k, v in parameters.items()]
    for start in range(0, len(params), _CHUNK):
        client.log_batch(run, params=params[start : start + _CHUNK], synchronous=True)
    now = int(time.time() * 1000)
    values = [Metric(_named(k), v, timestamp=now, step=0) for k, v in metrics.items()]
    client.log_batch(run, metrics=values, synchronous=True)


def _named(name: str) -> str:
    """The name as MLflow takes it."""
    return _UNNAMEABLE.sub("_", name)


def _shared_tags(publication: Publication) -> dict[str, str]:
    tags: dict[str, Any] = {PREFIX + k: v for k, v in publication.tags.items()}
    tags |= {f"{PREFIX}warning": " ".join(publication.warnings)} if publication.warnings else {}
    tags |= {f"{PREFIX}licence": publication.licence} if publication.licence else {}
    return tags | {"mlflow.source.name": "melafuse", f"{PREFIX}baseline": publication.baseline}


def _arm_parameters(arm: PublishedArm) -> dict[str, str]:
    return {"model": arm.model, "modalities": ", ".join(arm.modalities), "kind": arm.kind}


def _metrics(arm: PublishedArm) -> dict[str, float]:
    """Every number that is defined; MLflow can sort by no other."""
    found: dict[str, float] = {"patients": arm.n, "events": arm.events}
    for name, estimate in arm.metrics.items():
        found[name] = estimate.value
        found[f"{name}_low"], found[f"{name}_high"] = estimate.low, estimate.high
    found |= {f"{name}_p": p for name, p in arm.p.items()}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _note(publication: Publication) -> str:
    """The description that MLflow shows of the study."""
    warned = [f"**{text}**" for text in publication.warnings]
    where = "The report is `report/report.html`, the model card `report/model_card.md`."
    what = (
        f"Out-of-fold numbers of {len(publication.arms)} arms on {publication.outcome}; those of "
        f"this run are of {publication.baseline}."
    )
    return "\n\n".join([*warned, what, where])
