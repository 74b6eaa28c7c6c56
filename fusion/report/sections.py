"""Sections of the report that follow the ablation: differences, designs, subgroups, explanation.

A section is shown where it has something to show. A new one is a function and a line in `SECTIONS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from fusion.evaluation.sensitivity import COMPLETE, IMPUTATIONS, IMPUTED, PLAIN
from fusion.evidence import BinaryEvidence, Evidence
from fusion.evidence.subgroups import LEAST
from fusion.report.gallery import Gallery, galleries
from fusion.report.interval_tables import by_arm, kinds
from fusion.report.numbers import NOTHING, number, p_value, with_interval
from fusion.report.tables import TextTable

WHAT_ANALYSES_ARE = {
    COMPLETE: (
        "Complete cases: fitted on, and here both scored among, the patients whose columns of the "
        "clinical reference are all known."
    ),
    PLAIN: (
        "Without indicators: a missing value is its training median (a missing category no level), "
        "and nothing says that it was missing."
    ),
    IMPUTED: (
        f"Multiple imputation: fitted on {IMPUTATIONS} imputations by chained equations, drawn "
        "inside each training part from the columns of the arm and without the outcome; their log "
        "odds are averaged. Expression is not imputed, and the interval is that of the averaged "
        "score."
    ),
}


@dataclasses.dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        anchor: Its id in the page.
        title: Heading.
        tables: Each with a caption of its own.
        figures: Names of figures.
        galleries: Pictures with heat, a patient each.
    """

    anchor: str
    title: str
    tables: tuple[TextTable, ...]
    figures: tuple[str, ...] = ()
    galleries: tuple[Gallery, ...] = ()


def sections(evidence: BinaryEvidence) -> list[Section]:
    """All sections that have a row to show."""
    made = [section(evidence) for section in SECTIONS]
    return [section for section in made if any(table.rows for table in section.tables)]


def _intervals(evidence: BinaryEvidence) -> Section:
    return Section("intervals", "Intervals", (by_arm(evidence), kinds(evidence.intervals)))


def _differences(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (
            arm.arm,
            with_interval(arm.differences["auprc"].estimate, sign=True),
            p_value(arm.differences["auprc"].p_holm),
            with_interval(arm.differences["brier"].estimate, sign=True),
            p_value(arm.differences["brier"].p_holm),
        )
        for arm in evidence.arms
        if arm.differences
    )
    table = TextTable(
        f"Differences to {evidence.baseline}, paired, with Holm's adjustment over the arms of "
        "each metric. A lower Brier score is better.",
        ("arm", "ΔAUPRC [95 % CI]", "p Holm", "ΔBrier [95 % CI]", "p Holm"),
        rows,
    )
    return Section("differences", "Differences in AUPRC and Brier", (table,))


def _group_losses(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (
            loss.model,
            loss.group,
            with_interval(loss.auroc),
            with_interval(loss.loss, sign=True),
            p_value(loss.p),
            p_value(loss.p_holm),
        )
        for loss in evidence.group_losses
    )
    table = TextTable(
        "Leave one group out: each model was tuned and fitted again without the group. The loss is "
        "AUROC on everything minus AUROC without it, paired; groups that carry the same "
        "information cover for one another.",
        ("model", "without", "AUROC [95 % CI]", "loss [95 % CI]", "p", "p Holm"),
        rows,
        text_columns=2,
    )
    return Section("groups", "What each group is worth", (table,), ("group_loss",))


def _learning_curve(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (p.model, f"{p.share:.0%}", with_interval(p.auroc), with_interval(p.brier))
        for p in evidence.learning_curve
    )
    table = TextTable(
        "Fitted on a share of each fold's training patients and tested on the same test patients; "
        "encoders are the same for all shares. A curve that still rises asks for more patients.",
        ("model", "training patients", "AUROC [95 % CI]", "Brier [95 % CI]"),
        rows,
        text_columns=1,
    )
    return Section("learning", "Learning curve", (table,), ("learning_curve",))


def _sensitivity(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (
            one.arm,
            one.analysis,
            str(one.n),
            str(one.events),
            with_interval(one.shown),
            with_interval(one.auroc),
            with_interval(one.change, sign=True),
            p_value(one.p),
        )
        for one in evidence.sensitivity
    )
    made = dict.fromkeys(one.analysis for one in evidence.sensitivity)
    said = " ".join(WHAT_ANALYSES_ARE[name] for name in made)
    table = TextTable(
        f"The same arms and folds, with missing values handled in another way. {said} Where a "
        "change is sure, what is missing says something by itself, or fills in for something.",
        (
            "arm",
            "analysis",
            "n",
            "events",
            "AUROC as in the ablation [95 % CI]",
            "AUROC of the analysis [95 % CI]",
            "change [95 % CI]",
            "p",
        ),
        rows,
        text_columns=2,
    )
    return Section("sensitivity", "Sensitivity to missing values", (table,))


def _reference(evidence: BinaryEvidence) -> Section:
    found = evidence.reference_model
    coefficients = TextTable(
        ""
        if found is None
        else f"The clinical reference: logistic regression on {found.basis}. Odds ratio per "
        "standard deviation of the training patients: mean and range over the fits. Penalised, so "
        "closer to 1 than without penalty.",
        ("input", "odds ratio", "over fits", "fits"),
        ()
        if found is None
        else tuple(
            (c.name, number(c.odds_ratio, 2), f"{number(c.least, 2)} to {number(c.most, 2)}",
             str(c.fits))
            for c in found.coefficients
        ),
    )  # fmt: skip
    directions = TextTable(
        "Factors that are known to raise the risk in melanoma: AUROC of the column alone, higher "
        "values taken as riskier. Below 0.5 it goes the other way; that is marked where it is sure "
        "after correction for all that were looked at.",
        ("factor", "column", "specimen", "n", "events", "AUROC [95 % CI]", "direction"),
        ()
        if found is None
        else tuple(
            (
                d.factor,
                d.column,
                d.among or "all",
                str(d.n),
                str(d.events),
                with_interval(d.auroc),
                "contradicts what is known" if d.contradicts else "",
            )
            for d in found.directions
        ),
        text_columns=3,
    )
    return Section("reference", "Clinical reference", (coefficients, directions))


def _matched(evidence: BinaryEvidence) -> Section:
    found = evidence.matched
    rows = (
        ()
        if found is None
        else tuple(
            (r.arm, with_interval(r.everyone), with_interval(r.concordance)) for r in found.results
        )
    )
    caption = (
        ""
        if found is None
        else f"{found.pairs} pairs of a patient with and one without the outcome whom the clinical "
        f"reference ({found.basis}) rates alike out of fold: at most {found.caliper:g} standard "
        f"deviations of its log odds apart. {found.eligible} patients with the outcome could have "
        "been paired. Within-pair concordance is the share of pairs whose patient with the outcome "
        "has the higher score, as AUROC is of all pairs. The reference has about 0.5 because it "
        "made the pairs, and no interval; what an arm has above it, it adds to the reference. "
        "Intervals take the pairs as they were matched."
    )
    table = TextTable(
        caption,
        ("arm", "AUROC, all with these columns [95 % CI]", "concordance within pairs [95 % CI]"),
        rows,
    )
    return Section("matched", "Added value over the clinical reference", (table,))


def _subgroups(evidence: BinaryEvidence) -> Section:
    rows = tuple(
        (
            s.column,
            s.level,
            str(s.n),
            str(s.events),
            *(
                with_interval(s.metrics[name]) if s.metrics else NOTHING
                for name in ("auroc", "brier", "calibration_intercept")
            ),
        )
        for s in evidence.subgroups
    )
    table = TextTable(
        f"{evidence.baseline} by subgroup; no number where fewer than {LEAST} patients have, or "
        "do not have, the outcome. Above 0 the intercept says that risk is underestimated.",
        (
            "column",
            "level",
            "n",
            "events",
            "AUROC [95 % CI]",
            "Brier [95 % CI]",
            "intercept [95 % CI]",
        ),
        rows,
        text_columns=2,
    )
    return Section("subgroups", "Subgroups", (table,))


def explanation(evidence: Evidence, metric: str = "AUROC", unit: str = "log odds") -> Section:
    """What the models use, by how much of a metric is lost without it."""
    widest = {a.arm for a in evidence.arms if len(a.modalities) == _most(evidence)}
    blocks = tuple(
        (
            b.arm,
            b.block,
            number(b.lost),
            f"{number(b.least)} to {number(b.most)}",
            NOTHING if b.share is None else f"{b.share:.0%}",
        )
        for b in evidence.importances
        if b.arm in widest
    )
    inputs = tuple(
        (i.arm, i.name, i.block, number(i.size), str(i.folds))
        for i in evidence.inputs
        if i.arm in widest
    )
    return Section(
        "explanation",
        "What the models use",
        (
            TextTable(
                f"{metric} lost when the values of a group are exchanged between test patients "
                "(permutation importance; mean and range over folds), and the group's share of "
                "the absolute contributions where the model has them (Shapley values of trees). "
                "It says what a model leans on, not what causes the outcome.",
                ("arm", "group", f"{metric} lost", "over folds", "share"),
                blocks,
                text_columns=2,
            ),
            TextTable(
                f"Inputs with the largest mean absolute contribution, in {unit}; folds: in how "
                "many it was among the largest.",
                ("arm", "input", "group", "contribution", "folds"),
                inputs,
                text_columns=3,
            ),
        ),
        ("importance",),
    )


def pictures(evidence: Evidence) -> Section:
    """Pictures of patients with the heat of Grad-CAM."""
    drawn = galleries(evidence)
    table = TextTable(
        f"Grad-CAM (Selvaraju et al. 2017) of patients of whom {evidence.baseline} is most and "
        "least certain, each by the model of the fold that had not seen the patient. Heat is where "
        "the last feature map of an encoder raises the log odds, scaled for each picture by "
        "itself: it compares no pictures, and it says nothing about causes. A picture without heat "
        "has no place that raises them.",
        ("patient", "probability", "outcome", "encoders"),
        tuple(
            (
                g.title,
                f"{g.probability:.3f}",
                g.outcome,
                "; ".join([*(p.encoder for p in g.pictures), *g.missing]),
            )
            for g in drawn
        ),
        text_columns=1,
    )
    return Section("pictures", "Where the encoders look", (table,), galleries=drawn)


def tuning(evidence: Evidence, metric: str = "AUROC") -> Section:
    """What tuning did, by a metric that it selects by."""
    names = dict.fromkeys(name for t in evidence.tuning for name in t.importance)
    rows = tuple(
        (
            t.arm,
            str(t.best_so_far.shape[1]),
            f"{t.pruned:.0%}",
            number(float(t.best_so_far[:, 0].mean())),
            number(float(t.best_so_far[:, -1].mean())),
            *(f"{t.importance[n]:.0%}" if n in t.importance else NOTHING for n in names),
        )
        for t in evidence.tuning
    )
    table = TextTable(
        "Optuna inside each outer training part: trials a fold, share that was pruned, inner "
        f"{metric} of the defaults and of the best trial (mean over folds; both select and are no "
        "results), and the share of its variance that each parameter explains (fANOVA).",
        ("arm", "trials", "pruned", "defaults", "best", *names),
        rows,
    )
    return Section("tuning", "Tuning", (table,), ("tuning",))


def _most(evidence: Evidence) -> int:
    return max(len(a.modalities) for a in evidence.arms)


SECTIONS: tuple[Callable[[BinaryEvidence], Section], ...] = (
    _intervals,
    _differences,
    _group_losses,
    _learning_curve,
    _sensitivity,
    _reference,
    _matched,
    _subgroups,
    explanation,
    pictures,
    tuning,
)
