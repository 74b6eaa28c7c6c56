"""What was run, on what, with what: the header of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from featurestore.cohort import Cohort, FoldKey, patient_groups, roles_by_embedding
from featurestore.store import EncoderIdentity
from featurestore.units import counted
from fusion.arms import Modality, unseen_roles, withheld_modalities
from fusion.config import RunConfig
from fusion.evaluation.records import read_failures
from fusion.evidence.about import EVERY_FOLD, EncoderFacts, RunFacts, Trained
from fusion.evidence.analysis import analysis_facts
from fusion.provenance import engine_versions, versions
from fusion.roles import encoders_of

_IMPORTED: dict[str, Trained] = {"unknown": "unknown", "listed": "listed patients"}


def run_facts(
    config: RunConfig,
    cohort: Cohort,
    encoders: Mapping[str, EncoderIdentity],
    fold_encoders: Mapping[FoldKey, Mapping[str, EncoderIdentity]],
    folds_digest: str,
    command: str,
    choices: Path,
) -> RunFacts:
    """Collects what was run.

    Args:
        config: The configuration.
        cohort: The cohort as it is studied.
        encoders: Identity by backbone.
        fold_encoders: Of each repeat and fold the identity of every fine-tuned encoder by name.
        folds_digest: Names the frozen folds.
        command: The command that repeats the run.
        choices: `choices.json` of the ablation; may be absent.
    """
    analysis = analysis_facts(config, cohort)
    tuned = (identity for each in fold_encoders.values() for identity in each.values())
    types = [identity.dtype for identity in (*encoders.values(), *tuned)]
    return RunFacts(
        name=config.name,
        command=command,
        outcome_name=cohort.outcome.name,
        outcome_definition=cohort.outcome.definition,
        unit=cohort.outcome.unit,
        as_of=cohort.outcome.as_of,
        linkage=cohort.linkage,
        synthetic=cohort.synthetic,
        n_patients=cohort.n_patients,
        n_events=cohort.n_events,
        n_images=len(cohort.pictures),
        n_slides=len(cohort.images) - len(cohort.pictures),
        prevalence=cohort.prevalence,
        seed=config.seed,
        cohort_digest=cohort.digest(),
        folds_digest=folds_digest,
        encoders=(*_frozen(config, encoders), *_fine_tuned(fold_encoders)),
        versions=versions() | engine_versions(types),
        caveats=cohort.outcome.caveats,
        notes=(*cohort.notes, *_unseen_images(analysis.modalities, cohort)),
        facts=cohort.facts,
        licences=_licences(cohort),
        analysis=analysis,
        observed=cohort.unit,
        n_persons=cohort.counted.persons,
        n_nameless=cohort.counted.nameless,
        n_clusters=len(set(patient_groups(cohort.patients, cohort.images).values())),
        arms_left_out=(*_modalities_left_out(config, cohort), *_arms_left_out(choices)),
    )


def _frozen(config: RunConfig, encoders: Mapping[str, EncoderIdentity]) -> Iterator[EncoderFacts]:
    untrained = {b.name for b in config.extract.backbones if b.weights == "random"}
    for name, e in encoders.items():
        trained: Trained = (
            "never" if name in untrained else _IMPORTED.get(e.trained_on, "elsewhere")
        )
        yield EncoderFacts(name, e.dimension, e.weights, trained, {EVERY_FOLD: e.short})


def _fine_tuned(
    fold_encoders: Mapping[FoldKey, Mapping[str, EncoderIdentity]],
) -> Iterator[EncoderFacts]:
    """One that serves all folds has one digest."""
    for name in dict.fromkeys(name for own in fold_encoders.values() for name in own):
        own = {key: fold_encoders[key][name] for key in sorted(fold_encoders)}
        first = next(iter(own.values()))
        one = len({identity.digest for identity in own.values()}) == 1
        trained: Trained = "other patients" if one else "training parts"
        digests = {f"{r}/{f}": e.short for (r, f), e in own.items()}
        yield EncoderFacts(
            name,
            first.dimension,
            first.weights,
            trained,
            {EVERY_FOLD: first.short} if one else digests,
        )


def _unseen_images(modalities: Sequence[Modality], cohort: Cohort) -> Iterator[str]:
    """Images of a role that no modality asks for, where all ask for some."""
    encoders = encoders_of(name for m in modalities for name in m.embeddings)
    roles = roles_by_embedding(encoders, cohort.images, cohort.features)
    yield from (f"{text}." for text in unseen_roles(modalities, roles))


def _licences(cohort: Cohort) -> tuple[str, ...]:
    """One line a source and licence, with the number of images."""
    images = cohort.images.fillna({"licence": "licence not stated"})
    counts = images.groupby(["source", "licence"], as_index=False).size()
    rows = counts.itertuples(index=False, name=None)
    return tuple(
        f"{source}: {licence or 'licence not stated'}, {counted(n, 'image')}"
        for source, licence, n in rows
    )


def _arms_left_out(choices: Path) -> tuple[str, ...]:
    """One line an arm that failed on a fold, with its first reason."""
    first = {failure.arm: failure for failure in reversed(read_failures(choices))}
    return tuple(
        f"{arm} failed in repeat {f.repeat}, fold {f.fold}: {f.reason}"
        for arm, f in sorted(first.items())
    )


def _modalities_left_out(config: RunConfig, cohort: Cohort) -> Iterator[str]:
    for name in withheld_modalities(config.ablation, cohort.dictionary):
        yield f"modality {name}: all its columns are withheld for {cohort.outcome.name}"
