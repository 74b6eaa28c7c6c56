"""From the folder of a run to what may be published of it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import AuditError, ConfigError, DataError
from fusion.bundle import Bundle, read_bundle
from fusion.config import RunConfig
from fusion.endpoints import find_endpoint
from fusion.evidence import Arm, Evidence, finished_run, load_own_config, read_cohort_tables
from fusion.paths import RunPaths
from fusion.publish.base import Publication, PublishedArm
from fusion.publish.people import People, require_nobody, without_people
from fusion.report import write_report
from fusion.report.methods import audit_summary, mark
from fusion.report.model_card import model_card_markdown

PUBLISHED = (
    "report.html",
    "report.md",
    "metrics.csv",
    "run.json",
    "audit.csv",
    "tripod.csv",
    "ablation.tex",
)
"""Files of a report that are published; figures are in the page."""
PARAMETERS = ("seed", "folds", "extract", "finetune", "ablation")
"""Sections of the configuration that say how models were fitted; others hold paths and ids."""


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What a person asks of a publication.

    Attributes:
        name: What it is called; by default as the folder of the run.
        bundle: A bundle of the run, to go with it.
        licence: Identifier of the licence that it is under.
        anyway: Publish what is marked or failed its audit, and say so on it.
    """

    name: str = ""
    bundle: Path | None = None
    licence: str = ""
    anyway: bool = False


def prepare(run: Path, wishes: Wishes) -> Publication:
    """Reads a finished run, and takes everybody out of it.

    Raises:
        ConfigError: The run is marked as saying nothing about patients, and this was not
            overridden; or the bundle is of another run.
        AuditError: The same where the audit found what invalidates the numbers, or none was made.
        DataError: The run is not finished or damaged, or somebody would be named.
    """
    paths = RunPaths(run)
    evidence = finished_run(paths).evidence
    warnings = _warnings(evidence, wishes.anyway)
    people = People.of(read_cohort_tables(paths))
    bundle = None if wishes.bundle is None else read_bundle(wishes.bundle)
    if bundle is not None:
        _require_of_run(bundle, evidence, wishes.bundle)
    shown = without_people(evidence, people)
    publication = Publication(
        name=wishes.name or run.resolve().name,
        study=evidence.run.name,
        outcome=evidence.run.outcome_name,
        endpoint=evidence.endpoint,
        sees_images=bool(evidence.used.embeddings),
        baseline=evidence.baseline,
        headline=find_endpoint(evidence.endpoint).headline,
        warnings=warnings,
        parameters=_parameters(load_own_config(paths)),
        tags=_tags(evidence, bundle, bool(warnings)),
        arms=tuple(_arm(arm) for arm in evidence.arms),
        card=model_card_markdown(shown),
        files=_report(shown),
        licence=wishes.licence,
        bundle={} if wishes.bundle is None else _bundle_files(wishes.bundle),
        bundled=() if bundle is None else tuple(m.arm for m in bundle.record.models),
    )
    texts = {"the model card": publication.card, "parameters": str(publication.parameters)}
    texts |= {"the name": publication.name, "tags": str(publication.tags)}
    if bundle is not None:
        texts["the bundle's bundle.json"] = bundle.record.model_dump_json()
    held = {} if bundle is None else bundle.contents
    require_nobody(
        {**publication.files, **held, **{k: v.encode() for k, v in texts.items()}}, people
    )
    return publication


def _warnings(evidence: Evidence, anyway: bool) -> tuple[str, ...]:
    """What must stand above the publication; raises what forbids it."""
    failed = ""
    if evidence.audit is None:
        failed = "No audit was made of these numbers."
    elif evidence.audit.invalidated:
        failed = f"AUDIT FAILED: {audit_summary(evidence)}"
    marked = mark(evidence)
    if failed and not anyway:
        raise AuditError(
            f"{failed} Nothing was published; --anyway publishes it with these words on it"
        )
    if marked and not anyway:
        raise ConfigError(
            f"{marked} Nothing was published; --anyway publishes it with these words on it"
        )
    return tuple(text for text in (marked, failed) if text)


def _require_of_run(bundle: Bundle, evidence: Evidence, path: Path | None) -> None:
    ours = (evidence.run.cohort_digest, evidence.run.outcome_name, evidence.run.seed)
    record = bundle.record
    if (record.cohort.digest, record.outcome.name, record.seed) != ours:
        raise ConfigError(
            f"{path} is no bundle of this run: it was fitted on another cohort, outcome or seed; "
            "make one with `melafuse fit CONFIG --run RUN`"
        )


def _tags(evidence: Evidence, bundle: Bundle | None, warned: bool) -> dict[str, str]:
    run = evidence.run
    tags = {
        "outcome": run.outcome_name,
        "endpoint": evidence.endpoint,
        "linkage": run.linkage,
        "synthetic": str(run.synthetic).lower(),
        "watermark": mark(evidence),
        "audit": _audit_word(evidence),
        "published_anyway": str(warned).lower(),
        "cohort_digest": run.cohort_digest,
        "folds_digest": run.folds_digest,
        "version": run.versions.get("melafuse", ""),
        "bundle_digest": "" if bundle is None else bundle.digest,
    }
    for encoder in run.encoders:
        tags[f"encoder.{encoder.name}"] = " ".join(encoder.digests.values())
    return {name: value for name, value in tags.items() if value}


def _audit_word(evidence: Evidence) -> str:
    if evidence.audit is None:
        return "none"
    return "failed" if evidence.audit.invalidated else "passed"


def _parameters(config: RunConfig) -> dict[str, str]:
    whole = config.model_dump(mode="json", include=set(PARAMETERS), exclude_none=True)
    return dict(_flat(whole))


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            pair for k, v in value.items() for pair in _flat(v, f"{prefix}.{k}" if prefix else k)
        ]
    if isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        return [pair for i, v in enumerate(value) for pair in _flat(v, f"{prefix}.{i}")]
    if isinstance(value, list):
        return [(prefix, ", ".join(map(str, value)))] if value else []
    return [(prefix, str(value))]


def _arm(arm: Arm) -> PublishedArm:
    tested = arm.differences
    return PublishedArm(
        arm=arm.arm,
        model=arm.model,
        modalities=tuple(arm.modalities),
        kind=arm.kind,
        n=arm.n,
        events=arm.events,
        metrics={**arm.metrics} | {f"delta_{name}": d.estimate for name, d in tested.items()},
        p={f"delta_{name}": d.p if d.p_holm is None else d.p_holm for name, d in tested.items()},
    )


def _report(evidence: Evidence) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_report(evidence, Path(folder))
        found = {name: Path(folder) / name for name in PUBLISHED}
        return {name: path.read_bytes() for name, path in found.items() if path.exists()}


def _bundle_files(path: Path) -> dict[str, bytes]:
    """A verified bundle as it lies there: one file, or those of its folder."""
    try:
        if path.is_file():
            return {"bundle.zip": path.read_bytes()}
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return {f"bundle/{p.relative_to(path).as_posix()}": p.read_bytes() for p in files}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
