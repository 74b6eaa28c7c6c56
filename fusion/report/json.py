"""The evidence as JSON for machines: everything but curves."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from featurestore.cohort import watermark
from featurestore.plain import finite
from fusion.audit.base import CheckResult
from fusion.evidence import ArmEvidence, BinaryEvidence, Evidence, RunFacts
from fusion.report.answer import answer
from fusion.report.kinds import rendering

CURVES = {"roc", "pr", "calibration", "decision"}


def render_json(evidence: Evidence) -> str:
    """Returns indented JSON; numbers that are not defined are null."""
    record = rendering(evidence).record(evidence)
    return json.dumps(finite(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def binary_record(evidence: BinaryEvidence) -> dict[str, Any]:
    """Everything but curves of outcomes that are there or not."""
    return {
        "watermark": watermark(evidence.run.linkage, evidence.run.synthetic),
        "verdict": verdict_record(evidence),
        "run": run_record(evidence.run),
        "findings": [dataclasses.asdict(f) for f in evidence.findings],
        "audit": audit_records(evidence),
        "ladder": None if evidence.ladder is None else dataclasses.asdict(evidence.ladder),
        "flow": [dataclasses.asdict(s) for s in evidence.flow],
        "availability": evidence.availability.to_dict("records"),
        "baseline": evidence.baseline,
        "bootstrap_draws": evidence.bootstrap_draws,
        "intervals": [dataclasses.asdict(facts) for facts in evidence.intervals],
        "net_benefit_threshold": evidence.net_benefit_threshold,
        "arms": [_arm(a) for a in evidence.arms],
        "fusion_gain": [dataclasses.asdict(g) for g in evidence.fusion_gain],
        "group_losses": [dataclasses.asdict(g) for g in evidence.group_losses],
        "learning_curve": [dataclasses.asdict(p) for p in evidence.learning_curve],
        "sensitivity": [dataclasses.asdict(s) for s in evidence.sensitivity],
        "subgroups": [dataclasses.asdict(s) for s in evidence.subgroups],
        "reference_model": reference_record(evidence),
        "matched": None if evidence.matched is None else dataclasses.asdict(evidence.matched),
        "importances": [dataclasses.asdict(b) for b in evidence.importances],
        "inputs": [dataclasses.asdict(i) for i in evidence.inputs],
        "overlays": overlay_records(evidence),
        "tuning": tuning_records(evidence),
    }


def run_record(run: RunFacts) -> dict[str, Any]:
    """What was run; of lesions the numbers of lesions and of patients are called so."""
    record = dataclasses.asdict(run)
    persons = record.pop("n_persons")
    if run.observed == "lesion":
        return {**record, "n_lesions": run.n_patients, "n_patients": persons}
    return {k: v for k, v in record.items() if k not in ("observed", "n_nameless", "n_clusters")}


def verdict_record(evidence: Evidence) -> dict[str, Any]:
    """What may be claimed, in words and as its rules found it."""
    return {"sentence": answer(evidence).sentence, **dataclasses.asdict(evidence.verdict)}


def reference_record(evidence: Evidence) -> dict[str, Any] | None:
    """What the clinical reference rests on; None where none was fitted."""
    found = evidence.reference_model
    return None if found is None else dataclasses.asdict(found)


def overlay_records(evidence: Evidence) -> list[dict[str, Any]]:
    """What was drawn of patients, without the pictures."""
    return [
        {k: v for k, v in dataclasses.asdict(o).items() if k != "png"} for o in evidence.overlays
    ]


def tuning_records(evidence: Evidence) -> list[dict[str, Any]]:
    """What tuning did, as plain lists."""
    return [
        dataclasses.asdict(t) | {"best_so_far": t.best_so_far.tolist()} for t in evidence.tuning
    ]


def audit_records(evidence: Evidence) -> list[dict[str, Any]] | None:
    """Every check of the audit; None where none was made."""
    if evidence.audit is None:
        return None
    return [audit_record(result) for result in evidence.audit.results]


def audit_record(result: CheckResult) -> dict[str, Any]:
    """One check of the audit as plain JSON."""
    return {
        "check": result.check.name,
        "title": result.check.title,
        "status": result.status,
        "severity": result.severity,
        "looks_at": result.check.looks_at,
        "advice": result.check.advice,
        "hits": [dataclasses.asdict(hit) for hit in result.hits],
        "accepted": [dataclasses.asdict(hit) for hit in result.accepted],
        "note": result.note,
    }


def _arm(arm: ArmEvidence) -> dict[str, Any]:
    fields = (f.name for f in dataclasses.fields(arm) if f.name not in CURVES)
    return {name: _plain(getattr(arm, name)) for name in fields}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
