"""`melafuse init`: looks at what a user has and proposes a configuration."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from featurestore.atomic import appearing, write_text
from featurestore.cohort import ImageRoles, studied_dictionary
from featurestore.config import validate
from featurestore.errors import ConfigError, MelafuseError
from featurestore.sources.joining import id_key, join_sources
from featurestore.units import NOUNS, counted
from featurestore.yaml_text import parse_yaml_words
from fusion.config import RunConfig
from fusion.evaluation.planning import plan_study, roles_in_sources
from fusion.start.propose.folder import look_into
from fusion.start.propose.lesions import propose_unit
from fusion.start.propose.outcome import (
    LEAST,
    MOST_FOLDS,
    ProposedOutcome,
    propose_outcome,
)
from fusion.start.propose.rendering import render
from fusion.start.propose.roles import modalities_by_role
from fusion.start.propose.tables import (
    FoundTable,
    ProposedSource,
    look_at,
    propose_sources,
    unused_images,
)

__all__ = ["Proposal", "look_into", "propose", "summary", "write_proposal"]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A configuration and how it came about.

    Attributes:
        text: The YAML file, which `load_config` reads.
        found: The files that were looked at.
        used: Sources of the study.
        left_out: Sources that are in the file as comments only.
        outcome: What is predicted.
        notes: What a person must know: images that are not used, and what stands in the way of a
            run.
    """

    text: str
    found: tuple[FoundTable, ...]
    used: tuple[ProposedSource, ...]
    left_out: tuple[ProposedSource, ...]
    outcome: ProposedOutcome
    notes: tuple[str, ...] = ()


def propose(tables: Sequence[Path], images: Sequence[Path], out: Path) -> Proposal:
    """Proposes a configuration.

    Args:
        tables: The user's tables.
        images: The user's folders of images.
        out: Where the configuration will lie; relative paths start at its folder.

    Raises:
        ConfigError: No table can be used, so there is nothing to propose.
        DataError: An image folder does not exist.
    """
    root = out.absolute().parent
    found = look_at(tables)
    sources = propose_sources(found, [folder.absolute() for folder in images], root)
    used, left_out = _connected(sources)
    unused = [f"{table.path.name}: {table.problem}" for table in found if table.problem]
    notes = unused_images(used, images)
    if not used:
        reasons = [*unused, *(f"{source.title}: {source.problem}" for source in left_out)]
        raise ConfigError(f"no table can be used: {'; '.join(reasons)}")
    asked = propose_unit(used, propose_outcome(used), images, root)
    used, outcome = list(asked.sources), asked.outcome
    text = render(
        _name(out),
        used,
        left_out,
        [*unused, *notes],
        asked,
        max(2, min(MOST_FOLDS, outcome.least)) if outcome.least else MOST_FOLDS,
        any(source.tables is not None and len(source.tables.images) for source in used),
    )
    config = validate(RunConfig, parse_yaml_words(text), "the proposal")
    text += _modalities(config, used)
    config = validate(RunConfig, parse_yaml_words(text), "the proposal")
    notes += [*(asked.why if asked.unit == "patient" else ()), *_obstacles(config, used, outcome)]
    return Proposal(text, tuple(found), tuple(used), tuple(left_out), outcome, tuple(notes))


def _obstacles(
    config: RunConfig, used: Sequence[ProposedSource], outcome: ProposedOutcome
) -> list[str]:
    """Why a run of the proposal would end, by the code that a run begins with; nothing if not."""
    tables = [source.tables for source in used if source.tables is not None]
    if len(tables) < len(used) or not outcome.least:
        return []  # said already, with the source or the outcome
    unit = NOUNS[config.cohort.unit]
    if outcome.least < LEAST:
        return [
            f"a run needs {LEAST} {unit.many} with and {LEAST} without the outcome, and the "
            f"smaller class has {outcome.least}"
        ]
    try:
        dictionary = studied_dictionary(config.cohort, tables)
        has_pictures = any(len(table.images) for table in tables)
        plan_study(config, has_pictures, dictionary, roles=roles_in_sources(config, tables))
    except MelafuseError as error:
        return [f"a run would end with: {error}"]
    return []


def _modalities(config: RunConfig, used: Sequence[ProposedSource]) -> str:
    """Modalities by role, where images have several; nothing where the tables do not join."""
    tables = [source.tables for source in used if source.tables is not None]
    if not tables:
        return ""
    try:
        groups = studied_dictionary(config.cohort, tables).groups
        roles = roles_in_sources(config, tables)
    except MelafuseError:  # said with the source, or by `_obstacles`
        return ""
    found = roles.get(config.extract.backbones[0].name, ImageRoles())
    return modalities_by_role(config, found, groups)


def write_proposal(proposal: Proposal, out: Path) -> None:
    """Writes the configuration.

    Raises:
        ConfigError: The file exists, or cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} exists and is not overwritten; name another file")
    try:
        with appearing(out):  # half of it would block a repetition
            write_text(out, proposal.text)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from None


def summary(proposal: Proposal, out: Path) -> Iterator[str]:
    """What was found, in a few lines for a terminal."""
    for table in proposal.found:
        name = table.guess.name if table.guess is not None else "not recognised"
        yield f"{table.path.name}: {table.problem or name}"
    for source in proposal.used:
        state = source.problem or (source.why[-1] if source.why else "read")
        yield f"{'PROBLEM' if source.problem else 'source'} {source.title}: {state}"
        notes = () if source.tables is None else source.tables.notes
        said = [n for n in notes if source.section["kind"] == "collection" or "ithheld" in n]
        yield from (f"  {note}" for note in said)
    for source in proposal.left_out:
        yield f"left out {source.title}: {source.problem}"
    outcome = proposal.outcome
    shown = outcome.value if isinstance(outcome.value, str) else outcome.value["column"]
    yield f"outcome {shown}: {outcome.why[0]}"
    yield from (f"NOTE {note}" for note in proposal.notes)
    yield f"wrote {out}; read its comments, then: melafuse doctor {out}"


def _connected(
    sources: Sequence[ProposedSource],
) -> tuple[list[ProposedSource], list[ProposedSource]]:
    """Sources that share patients with the first that can be read, and the others with a reason.

    Where none can be read, the first that a configuration may hold is used, so that a person can
    mend it.
    """
    readable = [source for source in sources if source.tables is not None]
    broken = [source for source in sources if source.tables is None]
    if not readable:
        valid = [source for source in broken if source.is_valid][:1]
        return valid, [source for source in broken if source not in valid]
    used, apart = readable[:1], []
    rest = readable[1:]
    while joining := [source for source in rest if _patients(used) & _patients([source])]:
        rest = [source for source in rest if source not in joining]
        for source in joining:
            problem = _conflict([*used, source])
            if problem:
                apart.append(dataclasses.replace(source, problem=problem))
            else:
                used.append(source)
    shown = f"{len(_patients(used)):,} of {', '.join(s.title for s in used)}"
    for source in rest:
        problem = (
            f"none of its {counted(len(_patients([source])), 'id')} is among the {shown}. Rows of "
            "different people are joined by nothing but a shared id; the label-matched protocol "
            "(linkage: label_matched) must be asked for by name"
        )
        apart.append(dataclasses.replace(source, problem=problem))
    return used, [*apart, *broken]


def _conflict(sources: Sequence[ProposedSource]) -> str:
    """Why sources cannot be joined; empty if they can."""
    try:
        join_sources([s.tables for s in sources if s.tables is not None], "patient")
    except MelafuseError as error:
        return str(error)
    return ""


def _patients(sources: Sequence[ProposedSource]) -> set[str]:
    tables = [source.tables for source in sources if source.tables is not None]
    return {id_key(patient) for t in tables for patient in t.patients["patient_id"]}


def _name(out: Path) -> str:
    stem = out.stem if out.stem != "config" else out.absolute().parent.name
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("_.-")[:64]
    return clean or "study"
