"""Sections that reports of every kind of endpoint have, each in the terms of its kind."""

from __future__ import annotations

import dataclasses

from featurestore.units import worded
from fusion.evidence import Evidence
from fusion.report.gallery import Gallery, galleries
from fusion.report.numbers import NOTHING, number, p_value, with_interval
from fusion.report.tables import TextTable


@dataclasses.dataclass(frozen=True)
class Terms:
    """What is called how where endpoints differ.

    Attributes:
        metric: The headline metric.
        error: The Brier score of the learning curve.
        unit: Of scores and contributions.
        ratio: What the coefficients of the clinical reference are, as powers of e.
        regression: What the clinical reference is.
        of_column: What a column by itself is measured by.
        parts: Metrics of subgroups: name, and heading for people.
        parts_note: Which subgroups have numbers, and how to read them.
    """

    metric: str
    error: str
    unit: str
    ratio: str
    regression: str
    of_column: str
    parts: tuple[tuple[str, str], ...]
    parts_note: str


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


def group_losses(evidence: Evidence, terms: Terms) -> Section:
    """What models lose without a group."""
    rows = tuple(
        (
            loss.model,
            loss.group,
            with_interval(loss.without),
            with_interval(loss.loss, sign=True),
            p_value(loss.p),
            p_value(loss.p_holm),
        )
        for loss in evidence.group_losses
    )
    table = TextTable(
        "Leave one group out: each model was tuned and fitted again without the group. The loss is "
        f"{terms.metric} on everything minus {terms.metric} without it, paired; groups that carry "
        "the same information cover for one another.",
        ("model", "without", f"{terms.metric} [95 % CI]", "loss [95 % CI]", "p", "p Holm"),
        rows,
        text_columns=2,
    )
    return Section("groups", "What each group is worth", (table,), ("group_loss",))


def learning_curve(evidence: Evidence, terms: Terms) -> Section:
    """How models do on fewer patients."""
    many = evidence.noun.many
    rows = tuple(
        (
            p.model,
            f"{p.share:.0%}",
            with_interval(p.headline),
            NOTHING if p.error is None else with_interval(p.error),
        )
        for p in evidence.learning_curve
    )
    table = TextTable(
        f"Fitted on a share of each fold's training {many} and tested on the same test {many}; "
        f"encoders are the same for all shares. A curve that still rises asks for more {many}.",
        ("model", f"training {many}", f"{terms.metric} [95 % CI]", f"{terms.error} [95 % CI]"),
        rows,
        text_columns=1,
    )
    return Section("learning", "Learning curve", (table,), ("learning_curve",))


def reference(evidence: Evidence, terms: Terms) -> Section:
    """What the clinical reference learned, and whether known risk factors point up."""
    found = evidence.reference_model
    coefficients = TextTable(
        ""
        if found is None
        else f"The clinical reference: {terms.regression} on {found.basis}. "
        f"{terms.ratio.capitalize()} per standard deviation of the training {evidence.noun.many}: "
        "mean and range over the fits. Penalised, so closer to 1 than without penalty.",
        ("input", terms.ratio, "over fits", "fits"),
        ()
        if found is None
        else tuple(
            (c.name, number(c.ratio, 2), f"{number(c.least, 2)} to {number(c.most, 2)}",
             str(c.fits))
            for c in found.coefficients
        ),
    )  # fmt: skip
    directions = TextTable(
        f"Factors that are known to raise the risk in melanoma: {terms.of_column} of the column "
        "alone, higher values taken as riskier. Below 0.5 it goes the other way; that is marked "
        "where it is sure after correction for all that were looked at.",
        (
            "factor",
            "column",
            "specimen",
            "n",
            "events",
            f"{terms.of_column} [95 % CI]",
            "direction",
        ),
        ()
        if found is None
        else tuple(
            (
                d.factor,
                d.column,
                d.among or "all",
                str(d.n),
                str(d.events),
                with_interval(d.discrimination),
                "contradicts what is known" if d.contradicts else "",
            )
            for d in found.directions
        ),
        text_columns=3,
    )
    return Section("reference", "Clinical reference", (coefficients, directions))


def subgroups(evidence: Evidence, terms: Terms) -> Section:
    """The baseline by subgroup."""
    rows = tuple(
        (
            s.column,
            s.level,
            str(s.n),
            str(s.events),
            *(with_interval(s.metrics[name]) if s.metrics else NOTHING for name, _ in terms.parts),
        )
        for s in evidence.subgroups
    )
    table = TextTable(
        f"{evidence.baseline} by subgroup; {worded(terms.parts_note, evidence.noun)}",
        ("column", "level", "n", "events", *(f"{heading} [95 % CI]" for _, heading in terms.parts)),
        rows,
        text_columns=2,
    )
    return Section("subgroups", "Subgroups", (table,))


def explanation(evidence: Evidence, terms: Terms) -> Section:
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
                f"{terms.metric} lost when the values of a group are exchanged between test "
                f"{evidence.noun.many} (permutation importance; mean and range over folds), and "
                "the group's share of the absolute contributions where the model has them (Shapley "
                "values of trees). It says what a model leans on, not what causes the outcome.",
                ("arm", "group", f"{terms.metric} lost", "over folds", "share"),
                blocks,
                text_columns=2,
            ),
            TextTable(
                f"Inputs with the largest mean absolute contribution, in {terms.unit}; folds: in "
                "how many it was among the largest.",
                ("arm", "input", "group", "contribution", "folds"),
                inputs,
                text_columns=3,
            ),
        ),
        ("importance",),
    )


def pictures(evidence: Evidence, terms: Terms) -> Section:
    """Pictures of patients with the heat of Grad-CAM."""
    drawn = galleries(evidence)
    table = TextTable(
        f"Grad-CAM (Selvaraju et al. 2017) of {evidence.noun.many} of whom {evidence.baseline} is "
        f"most and least certain, each by the model of the fold that had not seen the "
        f"{evidence.noun.one}. Heat is where "
        f"the last feature map of an encoder raises the {terms.unit}, scaled for each picture by "
        "itself: it compares no pictures, and it says nothing about causes. A picture without heat "
        "has no place that raises them.",
        (evidence.noun.one, "probability", "outcome", "encoders"),
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


def tuning(evidence: Evidence, terms: Terms) -> Section:
    """What tuning did, by the metric that it selects by."""
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
        f"{terms.metric} of the defaults and of the best trial (mean over folds; both select and "
        "are no results), and the share of its variance that each parameter explains (fANOVA).",
        ("arm", "trials", "pruned", "defaults", "best", *names),
        rows,
    )
    return Section("tuning", "Tuning", (table,), ("tuning",))


def _most(evidence: Evidence) -> int:
    return max(len(a.modalities) for a in evidence.arms)
