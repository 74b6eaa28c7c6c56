"""The tables of a report as rows of text, shared by the page, Markdown and the terminal."""

from __future__ import annotations

import dataclasses

import pandas as pd

from featurestore.cohort import short_watermark
from fusion.audit.base import SEVERITIES
from fusion.evaluation import Ladder
from fusion.evaluation.ladder import METRICS, THRESHOLD
from fusion.evidence import Arm, ArmEvidence, BinaryEvidence, Estimate, Evidence, Gain
from fusion.evidence.intervals import interval_facts
from fusion.report.numbers import NOTHING, number, p_value, with_interval

SIGNIFICANT = 0.05
"""Adjusted p below which a gain is called one."""

BASELINE = "reference"
"""Stands in place of a difference beside the arm that differences are taken against."""
KINDS = {"arm": "", "reference": "reference model", "floor": "floor"}
UNDEFINED = Estimate(float("nan"), float("nan"), float("nan"))


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table ready to be printed.

    Attributes:
        caption: One sentence.
        columns: Headings.
        rows: Cells, as many as headings in each row.
        text_columns: How many leading columns hold words; the others hold numbers.
        details: What stands below the first cell of each row, in small letters; may be none.
        marks: What is said of each row beside its first cell (`best`); may be none.
        narrow: Leading columns that a phone shows, where others stand in another table too; None
            for all.
        keys: Arm of each row, where rows are arms that can be filtered; may be none.
        stacked: Whether a phone shows a row as a block, a line a cell.
        empty: What stands in its place where it has no rows.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    details: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    narrow: int | None = None
    keys: tuple[str, ...] = ()
    stacked: bool = False
    empty: str = "None."

    def head(self, row: int) -> str:
        """The first cell of a row with all that belongs to it, as one line of text."""
        beside = [own[row] for own in (self.details, self.marks) if own and own[row]]
        cell = self.rows[row][0]
        return f"{cell} ({'; '.join(beside)})" if beside else cell


def gains(evidence: BinaryEvidence) -> TextTable:
    """What fusion adds to each single modality."""
    rows = tuple(
        (
            g.fused_arm,
            g.single_arm,
            with_interval(g.delta, sign=True),
            p_value(g.p),
            p_value(g.p_holm),
            verdict(g),
        )
        for g in evidence.fusion_gain
    )
    return TextTable(
        "AUROC of the model on all modalities minus that of the same model on one; paired.",
        ("all modalities", "single modality", "ΔAUROC [95 % CI]", "p", "p Holm", "reading"),
        rows,
        text_columns=2,
    )


def per_fold(evidence: BinaryEvidence) -> TextTable:
    """AUROC and Brier of every arm and fold."""
    names = ["arm", "repeat", "fold", "n", "events", "auroc", "brier"]
    rows = tuple(
        (*(str(word) for word in words), number(auroc), number(brier))
        for *words, auroc, brier in evidence.per_fold[names].itertuples(index=False, name=None)
    )
    columns = ("arm", "repeat", "fold", "n", "events", "AUROC", "Brier")
    return TextTable("Every outer fold by itself.", columns, rows)


def participants(evidence: Evidence) -> TextTable:
    """Table 1; a level stands in a line of its own below its variable."""
    records = evidence.table1.to_dict("records")
    values = [c for c in evidence.table1.columns if c not in ("variable", "level", "unit")]
    return TextTable(
        _who_stands_there(evidence),
        ("variable", *map(str, values)),
        tuple(
            (
                _place(str(r["variable"]), str(r["level"])),
                *(str(r[c]) for c in values),
            )
            for r in records
        ),
        details=tuple("" if r["unit"] in ("n", "n (%)") else str(r["unit"]) for r in records),
    )


def _place(variable: str, level: str) -> str:
    """A variable with its first level; further levels are set in below it."""
    return ": ".join(word for word in (variable, level) if word) if variable else f"\u2003{level}"


def _who_stands_there(evidence: Evidence) -> str:
    text = "by outcome: median [quartiles], or count (share of known)."
    if evidence.run.observed == "patient":
        return f"Patients {text}"
    shared = (
        " What is measured of a patient counts each patient once, in each column with a lesion of "
        "his."
    )
    known = evidence.run.n_persons > 0
    return f"{evidence.noun.many.capitalize()} {text}{shared if known else ''}"


def flow(evidence: Evidence) -> TextTable:
    """What was left out."""
    rows = tuple((s.entity, s.stage, s.reason, str(s.n)) for s in evidence.flow)
    caption = (
        "Everything that was left out, with stage and reason; ids are in the exclusions table."
    )
    return TextTable(
        caption,
        ("what", "stage", "reason", "n"),
        rows,
        text_columns=3,
        empty="Nothing was left out.",
    )


def available(evidence: Evidence) -> TextTable:
    """Which modalities each patient has."""
    rows = tuple(
        (str(has), str(n), str(events))
        for has, n, events in evidence.availability.itertuples(index=False, name=None)
    )
    caption = (
        f"{evidence.noun.many.capitalize()} by what is known of them: images, embeddings from "
        "elsewhere, and groups with at least one value."
    )
    return TextTable(caption, ("has", "n", "events"), rows)


def epochs(evidence: Evidence) -> TextTable:
    """Every epoch of every fine-tuned encoder."""
    rows = tuple(
        (
            row["encoder"],
            "all" if pd.isna(row["fold"]) else f"{row['repeat']:.0f}/{row['fold']:.0f}",
            f"{row['epoch']}{' ✓' if row['kept'] else ''}",
            number(row["train_loss"]),
            number(row["validation_loss"]),
            number(row["validation_auroc"]),
            f"{row['learning_rate']:.1e}",
        )
        for row in evidence.encoder_history.to_dict("records")
    )
    return TextTable(
        "Fine-tuning by epoch; ✓ marks the weights that were kept. AUROC of inner validation "
        "patients selects the epoch and is no result.",
        ("encoder", "repeat/fold", "epoch", "loss", "validation loss", "AUROC", "rate"),
        rows,
        text_columns=3,
    )


def audit(evidence: Evidence) -> TextTable:
    """Every check of the audit, those that fired first."""
    results = () if evidence.audit is None else evidence.audit.results
    order = ("fired", "accepted", "clear", "not_applicable")
    ranked = sorted(results, key=lambda r: (order.index(r.status), SEVERITIES.index(r.severity)))
    rows = tuple(
        (
            f"{result.check.title} ({result.check.name})",
            result.status.replace("_", " "),
            result.severity if result.hits or result.accepted else "",
            " ".join(
                [*(hit.text for hit in (*result.hits, *result.accepted)), result.note]
            ).strip(),
            result.check.advice if result.hits else "",
        )
        for result in ranked
    )
    return TextTable(
        "Every check, what it found, and what to do.",
        ("check", "status", "severity", "found", "what to do"),
        rows,
        text_columns=5,
    )


def ladder(evidence: BinaryEvidence) -> TextTable:
    """What a label-matched result is made of, the claim first."""
    columns = ("rung", "takes away", "n", "events", "donors", "AUROC", "AUPRC", "accuracy")
    if evidence.ladder is None:
        return TextTable("", columns, ())
    rows = [
        (
            rung.title,
            rung.takes_away,
            str(rung.n),
            str(rung.events),
            str(rung.donors or NOTHING),
            *(with_interval(rung.metrics[name]) for name in METRICS),
        )
        for rung in evidence.ladder.rungs
    ]
    claim = evidence.ladder.claim
    cited = "" if claim is None else f" Claimed: {claim.source}."
    if claim is not None:
        stated = [claim.values.get(name) for name in METRICS]
        told = [NOTHING if v is None else f"{v:.4g}" for v in stated]
        rows.insert(0, ("claimed", "", NOTHING, NOTHING, NOTHING, *told))
    return TextTable(
        "One fixed model on every rung. Intervals: "
        f"{_kinds_of_rungs(evidence.ladder)}, over what folds keep together. "
        f"Accuracy at probability {THRESHOLD}.{cited}",
        columns,
        tuple(rows),
        text_columns=2,
    )


def _kinds_of_rungs(found: Ladder) -> str:
    """Names of the kinds of interval that the AUROCs of the rungs have."""
    kinds = interval_facts(rung.metrics["auroc"] for rung in found.rungs)
    return " or ".join(facts.name for facts in kinds) or "bootstrap of patients"


def tidy_ladder(evidence: BinaryEvidence) -> pd.DataFrame:
    """One row a rung and metric, unrounded, for `ladder.csv`."""
    found = evidence.ladder
    rows: list[dict[str, str | float | None]] = []
    if found is None:
        return pd.DataFrame(rows)
    mark = short_watermark(evidence.run.linkage, evidence.run.synthetic)
    claimed = {} if found.claim is None else found.claim.values
    for rung in found.rungs:
        rows += [
            {
                "rung": rung.name,
                "title": rung.title,
                "metric": name,
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "interval": estimate.method,
                "claimed": claimed.get(name),
                "n": rung.n,
                "events": rung.events,
                "donors": rung.donors,
                "watermark": mark,
            }
            for name, estimate in rung.metrics.items()
        ]
    return pd.DataFrame(rows)


def tidy_audit(evidence: Evidence) -> pd.DataFrame:
    """One row a hit, and one for each check without any, for `audit.csv`."""
    rows: list[dict[str, str | float | None]] = []
    for result in () if evidence.audit is None else evidence.audit.results:
        shared: dict[str, str | float | None] = {
            "check": result.check.name,
            "status": result.status,
            "note": result.note,
        }
        hits = [*result.hits, *result.accepted]
        rows += [
            shared
            | {
                "severity": hit.severity or result.check.severity,
                "found": hit.text,
                "subjects": "; ".join(hit.subjects),
                "value": hit.value,
            }
            for hit in hits
        ] or [shared]
    names = ["check", "status", "severity", "found", "subjects", "value", "note"]
    return pd.DataFrame(rows, columns=names)


def tidy_metrics(evidence: Evidence) -> pd.DataFrame:
    """One row an arm and metric, unrounded, for `metrics.csv`."""
    rows = []
    for arm in evidence.arms:
        tested = {f"delta_{name}": found for name, found in arm.differences.items()}
        values = {**arm.metrics} | {name: found.estimate for name, found in tested.items()}
        for name, estimate in values.items():
            rows.append(
                {
                    "arm": arm.arm,
                    "model": arm.model,
                    "modalities": "+".join(arm.modalities),
                    "kind": arm.kind,
                    "metric": name,
                    "value": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                    "interval": estimate.method,
                    "n": arm.n,
                    "events": arm.events,
                    "p": tested[name].p if name in tested else None,
                    "p_holm": tested[name].p_holm if name in tested else None,
                    "synthetic": evidence.run.synthetic,
                    "linkage": evidence.run.linkage,
                    "watermark": short_watermark(evidence.run.linkage, evidence.run.synthetic),
                }
            )
    return pd.DataFrame(rows)


def oracle(evidence: Evidence) -> str | None:
    """AUROC that no predictor can be expected to beat, where the cohort knows it."""
    value = evidence.run.facts.get("oracle_auroc")
    return None if value is None else number(value)


def arm_marks(evidence: Evidence) -> tuple[str, ...]:
    """What is said of each arm beside its name: the best, the reference, the simplest as good."""
    v = evidence.verdict
    said = ((v.best, "best"), (v.reference, BASELINE), (v.recommended, "simplest as good"))
    return tuple(", ".join(word for name, word in said if name == arm.arm) for arm in evidence.arms)


def seen(evidence: Evidence) -> tuple[str, ...]:
    """What each arm sees, by name."""
    return tuple(" + ".join(arm.modalities) or "nothing" for arm in evidence.arms)


def named_model(arm: Arm) -> str:
    """The model of an arm, and what it is for."""
    return f"{arm.model} ({KINDS[arm.kind]})" if KINDS[arm.kind] else arm.model


def difference(arm: ArmEvidence, digits: int = 3) -> str:
    """ΔAUROC to the baseline, or the word for the baseline itself."""
    if not arm.differences:
        return BASELINE
    return with_interval(arm.differences["auroc"].estimate, digits, sign=True)


def verdict(gain: Gain) -> str:
    """How a gain by fusion reads, beside the other gains that were looked for."""
    delta = gain.delta
    if not delta.excludes(0.0):
        return "no measurable gain" if delta.low == delta.low else NOTHING
    said = "fusion adds" if delta.low > 0 else "fusion harms"
    return f"{said}, only before Holm" if gain.p_holm >= SIGNIFICANT else said
