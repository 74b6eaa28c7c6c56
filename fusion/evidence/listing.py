"""The runs of a project, as their folders tell them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

from featurestore.errors import DataError, MelafuseError
from fusion.config.differences import differing, usual
from fusion.endpoints import find_endpoint
from fusion.evidence.saved import FinishedRun, facts_of, finished_run
from fusion.metrics import Estimate
from fusion.paths import RunPaths

_OWN = {"cohort", "scratch", "work", "store", "report", "export", "export-deidentified", "external"}
_DEPTH = 4  # of folders below the project that are looked into
_SAME_ANYHOW = ("name", "store", "project", "export", "ablation.jobs", "ablation.scheduler")
"""Settings that no number depends on."""


@dataclasses.dataclass(frozen=True)
class ListedRun:
    """One run of a project.

    Attributes:
        folder: Its folder, from the project on.
        problem: Why its numbers cannot be told; empty where they can.
        name: Name in its configuration.
        made: When its report was made last, in UTC.
        outcome: Name of the outcome.
        patients: Their number.
        events: Patients with the outcome.
        baseline: Arm whose number is shown: no arm is chosen by its result.
        metric: Name of the metric.
        estimate: Its value.
        audit: `clear`, `INVALID`, a count of warnings, or that there was none.
        settings: What differs from most other runs, by setting.
    """

    folder: str
    problem: str = ""
    name: str = ""
    made: str = ""
    outcome: str = ""
    patients: int = 0
    events: int = 0
    baseline: str = ""
    metric: str = ""
    estimate: Estimate | None = None
    audit: str = ""
    settings: dict[str, str] = dataclasses.field(default_factory=dict)


SORTS = ("folder", "made", "headline", "patients")


def list_runs(project: Path, sort: str = "folder") -> tuple[ListedRun, ...]:
    """Lists every run below a folder, finished or not.

    Args:
        project: The folder; runs may lie in folders below, also in that of another run.
        sort: One of `SORTS`; the newest, the highest and the largest stand first.

    Raises:
        DataError: The folder is none.
    """
    if not project.is_dir():
        raise DataError(f"{project} is no folder; name the one that holds the folders of runs")
    folders = list(_runs_below(project, _DEPTH))
    found: dict[Path, FinishedRun] = {}
    problems: dict[Path, str] = {}
    for folder in folders:
        try:
            found[folder] = finished_run(RunPaths(folder))
        except MelafuseError as error:
            unfinished = not RunPaths(folder).report_inputs.exists()
            problems[folder] = "not finished" if unfinished else str(error)
    settings = _settings_of(list(found.values()))
    listed = [
        _listed(run, folder, project, own)
        for (folder, run), own in zip(found.items(), settings, strict=True)
    ]
    listed += [ListedRun(_shown(folder, project), why) for folder, why in problems.items()]
    return tuple(sorted(listed, key=lambda run: _order(run, sort)))


def encoders_needed(project: Path) -> dict[str, str]:
    """First digits of every encoder that a run of a project reads, with one such run.

    Raises:
        DataError: A run is not finished or damaged, so that nobody knows what it needs.
    """
    found: dict[str, str] = {}
    for folder in _runs_below(project, _DEPTH):
        try:
            facts = facts_of(RunPaths(folder))
        except MelafuseError as error:
            raise DataError(
                f"nobody knows which encoders the run {folder} needs ({error}); finish or remove it"
            ) from None
        for encoder in facts.encoders:
            found |= dict.fromkeys(encoder.digests.values(), _shown(folder, project))
    return found


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    if RunPaths(folder).config.is_file() and RunPaths(folder).data_root.is_file():
        yield folder
    if depth:
        for below in sorted(folder.iterdir()):
            skipped = below.name in _OWN or below.name.startswith(".")
            if below.is_dir() and not below.is_symlink() and not skipped:
                yield from _runs_below(below, depth - 1)


def _settings_of(runs: Sequence[FinishedRun]) -> list[dict[str, str]]:
    """Of each run the settings that most others have otherwise."""
    texts = differing([run.config for run in runs if run.config is not None], _SAME_ANYHOW)
    most = {name: usual(own) for name, own in texts.items()}
    return [
        {name: own[k] for name, own in texts.items() if own[k] != most[name]}
        for k in range(len(runs))
    ]


def _listed(run: FinishedRun, folder: Path, project: Path, settings: dict[str, str]) -> ListedRun:
    evidence = run.evidence
    metric = find_endpoint(evidence.endpoint).headline
    arm = next(arm for arm in evidence.arms if arm.arm == evidence.baseline)
    made = RunPaths(folder).report_inputs.stat().st_mtime
    when = datetime.datetime.fromtimestamp(made, datetime.UTC)
    return ListedRun(
        folder=_shown(folder, project),
        name=evidence.run.name,
        made=when.isoformat(sep=" ", timespec="minutes").removesuffix("+00:00"),
        outcome=evidence.run.outcome_name,
        patients=arm.n,
        events=arm.events,
        baseline=evidence.baseline,
        metric=metric,
        estimate=arm.metrics[metric],
        audit=_state(run),
        settings=settings,
    )


def _state(run: FinishedRun) -> str:
    audit = run.evidence.audit
    if audit is None:
        return "none"
    if audit.invalidated:
        return "INVALID"
    warnings = sum(result.severity == "warning" for result in audit.fired)
    return f"{warnings} warning{'s' * (warnings != 1)}" if warnings else "clear"


def _shown(folder: Path, project: Path) -> str:
    return folder.relative_to(project).as_posix()


def _order(run: ListedRun, sort: str) -> tuple[bool, float, str]:
    """Runs without numbers stand last."""
    value = run.estimate.value if run.estimate else 0.0
    when = datetime.datetime.fromisoformat(run.made).timestamp() if run.made else 0.0
    keys = {"headline": -value, "made": -when, "patients": -run.patients}
    return bool(run.problem), keys.get(sort, 0.0), run.folder
