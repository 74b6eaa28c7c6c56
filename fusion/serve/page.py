"""The page, made from the bundle's schema: one file, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from fastapi import FastAPI
from markupsafe import Markup

from featurestore.outcomes import duration_words
from featurestore.units import NOUNS
from fusion.bundle.record import InputColumn, TimesOutcomeRecord
from fusion.report.numbers import number
from fusion.serve.models import BinaryArmOut, SchemaOut, TimesArmOut

SHOWN_METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
    "sensitivity": "Sensitivity at the threshold",
    "recall": "Sensitivity at the threshold",
    "specificity": "Specificity at the threshold",
    "precision": "Precision at the threshold",
}
"""Metrics of the page of a binary outcome, by the name that the evidence has for them."""

SHOWN_AT_HORIZONS = {
    "auc": "AUC",
    "brier": "Brier score",
    "observed_over_expected": "Observed over expected",
    "calibration_slope": "Calibration slope",
}
"""The same of times to an event, at each horizon."""


@dataclasses.dataclass(frozen=True)
class PageKind:
    """What the page of one kind of outcome says.

    Attributes:
        metrics: Names of the metrics that it shows, and what they are called.
        rule: What inner data decided about scores, in a sentence.
    """

    metrics: Callable[[SchemaOut], Mapping[str, str]]
    rule: Callable[[SchemaOut], str]


def _threshold(schema: SchemaOut) -> str:
    arm = schema.arms[0]
    assert isinstance(arm, BinaryArmOut)
    return f"Threshold {arm.threshold:.3f}: {arm.threshold_rule}."


def _times_metrics(schema: SchemaOut) -> Mapping[str, str]:
    assert isinstance(schema.outcome, TimesOutcomeRecord)
    return {"uno_c": "Uno's C", "harrell_c": "Harrell's C"} | {
        f"{name}_at_{days:g}": f"{called}, {duration_words(days)}"
        for days in schema.outcome.horizons
        for name, called in SHOWN_AT_HORIZONS.items()
    }


def _groups(schema: SchemaOut) -> str:
    arm, outcome = schema.arms[0], schema.outcome
    assert isinstance(arm, TimesArmOut)
    assert isinstance(outcome, TimesOutcomeRecord)
    known = duration_words(outcome.known_until)
    counted = f"Times count from {outcome.time_zero}" if outcome.time_zero else "Times are in days"
    return (
        f"{counted}; nothing is said beyond {known}, where follow-up ends. "
        f"{len(arm.cut_points) + 1} risk groups: {arm.cut_rule}."
    )


PAGES: Mapping[str, PageKind] = {
    "binary": PageKind(lambda schema: SHOWN_METRICS, _threshold),
    "time_to_event": PageKind(_times_metrics, _groups),
}
"""By kind of the outcome (`fusion.endpoints`)."""


def page(schema: SchemaOut) -> str:
    """The page of a bundle; every text of the bundle is escaped."""
    groups: dict[str, list[InputColumn]] = {}
    pasted: dict[str, list[InputColumn]] = {}
    for column in schema.inputs:
        kept = pasted if column.kind == "expression" else groups
        kept.setdefault(column.group, []).append(column)
    return _render(
        "page.jinja",
        schema=schema,
        counted=NOUNS[schema.observed].counted(schema.patients),
        groups=groups,
        pasted=pasted,
        metrics=list(_metrics(schema)),
        rule=PAGES[schema.outcome.kind].rule(schema),
        hints={column.name: _hint(column) for column in schema.inputs},
        script=_asset("page.js"),
    )


def api_page(app: FastAPI) -> Callable[[], str]:
    """Returns what makes a page of the OpenAPI document, without any script."""

    @cache
    def made() -> str:
        document = app.openapi()
        operations = [
            {"path": path, "method": method.upper(), **operation}
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]
        return _render("api.jinja", document=document, operations=operations)

    return made


@cache
def policy(text: str) -> dict[str, str]:
    """A content security policy that allows the scripts and styles of a page, and no others."""
    allowed = {}
    for tag in ("script", "style"):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(f.encode()).digest()).decode() for f in found]
        allowed[tag] = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return {
        "content-security-policy": (
            f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
            "img-src data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
    }


def _render(template: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fusion.serve", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(style=_asset("page.css"), **values)


def _asset(name: str) -> Markup:
    return Markup((files("fusion.serve") / name).read_text(encoding="utf-8"))


def _metrics(schema: SchemaOut) -> Iterator[tuple[str, str, str]]:
    """Name, value and interval of the first arm's cross-validated performance."""
    metrics = schema.arms[0].performance.metrics
    for name, shown in PAGES[schema.outcome.kind].metrics(schema).items():
        if name in metrics:
            m = metrics[name]
            between = f"{number(m.low)} to {number(m.high)}" if m.low is not None else "—"
            yield shown, number(m.value), between


def _hint(column: InputColumn) -> str:
    """What stands below a field: unit and training range."""
    if column.is_text or column.kind == "binary" or column.training_range is None:
        return ""
    low, high = column.training_range
    return f"training: {low:g} to {high:g}"
