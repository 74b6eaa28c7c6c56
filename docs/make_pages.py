"""Writes the reference pages from the code: `make docs`.

configuration.md has every key with the line of its class's docstring, checks.md every check of the
audit, outcomes.md every outcome. A test compares the pages with what this prints, so that pages
and code cannot drift apart.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import floors  # noqa: E402

from featurestore.outcomes import (  # noqa: E402
    OUTCOMES,
    ExpressionRule,
    Outcome,
    TimesRule,
    ValueRule,
    duration_words,
)
from featurestore.sources import SOURCES  # noqa: E402
from featurestore.units import NOUNS  # noqa: E402
from fusion.audit import CHECKS  # noqa: E402
from fusion.config import RunConfig  # noqa: E402

MADE = "This page is made from the code by `make docs`.\n"
HEADER = """\
# Configuration

One YAML file a run. Unknown keys are errors, and errors name the key, the value and what is
allowed. `--set KEY=VALUE` overrides any key (`--set extract.backbones.0.weights=imagenet`).
Relative paths start at the configuration's folder, or at `--data-root`. Every run writes the
configuration with all defaults filled in to `config.yaml` in its folder.
"""
CHECKS_HEADER = """\
# Checks of the audit

`melafuse audit CONFIG` runs them and ends with exit code 3 if one of severity *invalidates* fires;
every report has their results. See [audit.md](audit.md) for how to read and accept findings.

"""
OUTCOMES_HEADER = """\
# Outcomes

`cohort.outcome` names one of these, or defines another one. An outcome states what is predicted, of
whom, and as of when; columns that reveal it or become known later are withheld from models
(`melafuse cohort describe` lists them), unless `cohort.use_anyway` insists; the audit reports that.

"""
LANGUAGE = """
## Outcomes of your own

```yaml
cohort:
  outcome:
    name: thick_and_positive
    expression: "n_stage >= 'N1' and breslow > 2"
    among: "specimen_type == 'primary'"
    as_of_time: diagnosis
    deny: [stage]
    definition: Positive nodes and a primary thicker than 2 mm.
```

A column with its values (`column`, `positive`, `negative`) does for simple cases. An expression has
comparisons (chained ones too), `in [...]`, `and`, `or`, `not`, arithmetic, parentheses, `known(x)`,
numbers and quoted words. Words are compared without case; `<` and `>` on words follow the levels of
an ordinal column (a level that contains finer ones, as II does IIA, is compared by what is sure of
all of them). A missing value makes a comparison unknown, and unknown follows Kleene's logic
(unknown and false is false); patients of whom it is unknown are left out, and counted. Nothing of
an expression is executed as Python.
"""

SEVERAL = """
## Several outcomes in one run

```yaml
cohort:
  outcomes: [malignant, melanoma, nevus]    # in place of outcome; definitions may stand here too
```

Each is a study in a folder of its own, `runs/mine/melanoma`, with report and export. Sources are
read, images inspected and embedded once (`runs/mine/store`), and everybody is tested in the same
fold in all of them. Folds are made once for all, stratified by the combination of outcomes; who has
an unknown state of one outcome is left out of that study only, and its exclusions say so.
`runs/mine/comparison` has the page that compares them, with Markdown, CSV and JSON (here of 35
lesions with invented rows and pictures of noise, in the layout of HAM10000):

```
$ melafuse run mine.yaml --out runs/mine
…
outcome            n events         reference          best arm      gain of fusion audit
malignant (AUROC) 30     10 0.40 [0.11, 0.72] 0.49 [0.21, 0.72] −0.08 [−0.25, 0.08] 2 fired
melanoma (AUROC)  35      5 0.29 [0.01, 0.81] 0.36 [0.01, 0.95] −0.07 [−0.48, 0.34] 2 fired
nevus (AUROC)     35      5 0.47 [0.06, 0.90] 0.69 [0.20, 0.97] −0.22 [−0.71, 0.27] 2 fired
malignant: reference logistic_regression[all], best rank_average[all]
melanoma: reference logistic_regression[all], best logistic_regression[resnet18]
nevus: reference logistic_regression[all], best logistic_regression[resnet18]
outcomes: runs/mine/comparison/outcomes.html
```

`doctor`, `extract`, `ablate`, `audit`, `export` and `cohort describe` go through all of them. A
study that fails stops no other; the command ends with the highest exit code. Commands that take
CONFIG (but `doctor`) take the folder of a run as well, so that `melafuse fit runs/mine/melanoma
--out bundle.zip` works on one of them, and `melafuse report runs/mine` writes all pages again.
Times to an event may stand in the list; linkage `label_matched`, which lends rows by one label, may
not.
"""

TIMES = """
## Times to an event

An outcome of kind `time_to_event` is when something happened, or until when it had not:

```yaml
cohort:
  outcome:
    name: distant_metastasis_free
    kind: time_to_event
    time: {event: days_to_distant_metastasis, censoring: os_days}   # or one column
    event: distant_metastasis                 # a column of yes and no, or an expression
    competing: "os_event == 1"                # optional
    entry: days_to_specimen                   # optional: under observation only from here on
    unit: days                                # of the columns; stored as days
    horizons: [2y, 5y]                        # years, months (18m) or days (90d)
    time_zero: first pathologic diagnosis
    as_of_time: diagnosis
```

A state is also `{column: status, positive: [3], negative: [2]}`; what the competing event of the
same column names counts as no event. Of each patient the cohort keeps what ended the time (0
censored, 1 event, 2 competing event), the time and the entry, in days; months have 30.4375 days,
years 365.25. Where the event and the competing event have times of their own the earlier one
counts. Every column of times or last contact is withheld from models, whatever it is called
(`days_to_*`, `*_months`, `*_time`, follow-up counts).

Nobody is guessed. Left out, counted and named by reason are patients whose state is not known,
with an event without a time or a time of an event without the event, with a time of zero or
before, or who came under observation at or after its end. Refused in one line are a code that is
not declared, a follow-up longer than a life (months named as days), a cohort without event or with
one time only, and a horizon beyond the longest follow-up.

A registered time can be asked otherwise:

```yaml
cohort:
  outcome: {registered: overall_survival, entry: days_to_specimen}    # nobody is at risk before it
  outcome: {registered: overall_survival, origin: days_to_specimen}   # time is counted from it
  outcome: {registered: overall_survival, within: 2y}                 # yes or no
  outcome: {registered: overall_survival, horizons: [1y, 3y]}
```

`within` makes an outcome of yes and no: with the event are those who had it by then, without it
those known to have been free of it then, or with a competing event before; who was lost before is
left out. A plain yes or no, as `distant_metastasis`, counts everyone without a recorded event as
free of it. The cohort says what that means:

```
$ melafuse cohort describe configs/tcga_survival.yaml --data-root FOLDER \\
    --set cohort.outcome=distant_metastasis
…
note: Of the 153 patients without distant_metastasis, who count as free of it, 35
for less than 1 year, 87 for less than 2 years and 124 for less than 5 years were
followed; of 1 it is not known.
```

For times it prints the follow-up and the numbers at risk:

```
$ melafuse cohort describe configs/tcga_survival.yaml --data-root FOLDER \\
    --set cohort.outcome=disease_specific_survival
tcga_survival: 450 patients, 193 events (42.9%), 0 images of 0 patients, 25
sites named, linkage patient
…
time zero: first pathologic diagnosis; median follow-up 6.5 years (reverse
Kaplan-Meier), longest time 30.8 years

numbers at risk
after    at risk  events  competing  censored
0 days       450       0          0         0
1 year       392      21          5        32
2 years      289      63         10        88
5 years      153     131         14       152
```

Of the 470 patients of the biotab tables TCGA-CDR, frozen earlier, counts 216 deaths, 190 with
tumour and 309 progressions; here they are 220, 193 and 308 of those with a time after day zero.
Where a site said that there was a progression and gave no day, the resource counts none; here the
patient is left out (65 patients).
"""

Model = type[pydantic.BaseModel]


def pages() -> dict[Path, str]:
    """Each page and its text."""
    docs = ROOT / "docs"
    return {
        docs / "configuration.md": configuration(),
        docs / "checks.md": checks(),
        docs / "outcomes.md": outcomes(),
        docs / "architecture.md": architecture(),
        docs / "architecture.svg": floors.drawing(),
    }


def architecture() -> str:
    """The page about the floors, with the table of them made anew."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- floors -->\n")
    after = rest.split("<!-- /floors -->\n")[1]
    return f"{before}<!-- floors -->\n{floors.table()}<!-- /floors -->\n{after}"


def checks() -> str:
    """The checks of the audit."""
    sections = [
        f"\n## {check.title}\n\n`{check.name}`: {check.severity}"
        f"{'' if check.acceptable else ', cannot be accepted'}\n\n"
        f"- looks at: {check.looks_at}\n- what to do: {check.advice}\n"
        for check in (one.worded(NOUNS["patient"]) for one in CHECKS)
    ]
    return CHECKS_HEADER + MADE + "".join(sections)


def outcomes() -> str:
    """The registered outcomes and the language of those that a configuration defines."""
    listed = "".join(map(_outcome, OUTCOMES.values()))
    return OUTCOMES_HEADER + MADE + listed + LANGUAGE + SEVERAL + TIMES


def _outcome(outcome: Outcome) -> str:
    rule = outcome.rule
    hidden = list(dict.fromkeys([*rule.columns, *outcome.deny]))
    if isinstance(rule, TimesRule):
        hidden.append("every column of times and last contact")
    lines = [
        f"\n## `{outcome.name}`\n",
        f"{outcome.definition}\n",
        f"- unit: {outcome.unit}",
        f"- predicted as of: {outcome.as_of}",
        f"- event: {_told(rule)}",
        *([f"- time zero: {outcome.time_zero}"] if outcome.time_zero else []),
        *([f"- horizons: {_listed(outcome.horizons)}"] if outcome.horizons else []),
        *([f"- among: `{outcome.among}`"] if outcome.among else []),
        f"- reveals it: {', '.join(f'`{c}`' if ' ' not in c else c for c in hidden)}",
        *(f"- caveat: {caveat}" for caveat in outcome.caveats),
    ]
    return "\n".join(lines) + "\n"


def _told(rule: object) -> str:
    if isinstance(rule, ValueRule):
        event = f"`{rule.column}` is {' or '.join(rule.positive)}"
        return f"{event}; no event: {' or '.join(rule.negative) or 'any other known value'}"
    if isinstance(rule, ExpressionRule):
        return f"`{rule.text}`"
    assert isinstance(rule, TimesRule)
    first, last = rule.event_time, rule.censoring_time
    when = f"`{first}`" if first == last else f"`{first}`, without it until `{last}`"
    other = f"; competing event: {_told(rule.competing)}" if rule.competing else ""
    return f"{_told(rule.event)}, at {when}{other}"


def _listed(horizons: tuple[float, ...]) -> str:
    return ", ".join(map(duration_words, horizons))


def configuration() -> str:
    """Every key of the configuration."""
    seen: dict[Model, str] = {}
    for path, model in _walk("", RunConfig):
        seen.setdefault(model, path)
    for kind, source in SOURCES.items():
        for path, model in _walk(f"cohort.sources, kind {kind}", source):
            seen[model] = path if model is source else seen.get(model, path)
    return HEADER + "\n" + MADE + "".join(_section(path, model) for model, path in seen.items())


def _walk(path: str, model: Model) -> Iterator[tuple[str, Model]]:
    """A section, then those inside it, depth first."""
    yield path, model
    for name, field in model.model_fields.items():
        below = f"{path}.{name}" if path else name
        for inner in _models(field.annotation):
            if inner not in SOURCES.values():
                yield from _walk(below, inner)


def _models(annotation: Any) -> list[Model]:
    if inspect.isclass(annotation) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]


def _section(path: str, model: Model) -> str:
    first, meanings = _docstring(model)
    lines = [f"\n## `{path or '(top level)'}`\n", first, "", "| key | default | meaning |"]
    lines.append("|---|---|---|")
    for name, field in model.model_fields.items():
        if name == "kind" and len(typing.get_args(field.annotation)) == 1:
            continue
        meaning = meanings.get(name, "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _docstring(model: Model) -> tuple[str, dict[str, str]]:
    """First sentence of a class, and what its docstring says of each attribute."""
    meanings: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        text = inspect.cleandoc(owner.__doc__ or "")
        _, _, listed = text.partition("Attributes:\n")
        name = ""
        for line in listed.splitlines():
            begun = re.match(r" {4}(\w+): (.*)", line)
            if begun:
                name = begun.group(1)
                meanings[name] = begun.group(2)
            elif name and line.startswith(" " * 8):
                meanings[name] += " " + line.strip()
            else:
                name = ""
    return inspect.getdoc(model).split("\n")[0], meanings  # type: ignore[union-attr]


def _default(field: pydantic.fields.FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)  # type: ignore[call-arg]
    if isinstance(value, pydantic.BaseModel):
        return "section"
    if isinstance(value, tuple):
        return ", ".join(_plain(item) for item in value) or "none"
    return "none" if value is None or value == "" else f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, pydantic.BaseModel):
        record = value.model_dump(mode="json", exclude_defaults=True)
        return "{" + ", ".join(f"{k}: {v}" for k, v in record.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
