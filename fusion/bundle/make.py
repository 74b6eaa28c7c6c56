"""From a study to a bundle: its arms fitted on all patients, and what is known about them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig
from featurestore.cohort import watermark
from featurestore.errors import ConfigError
from featurestore.plain import plain
from featurestore.store import EncoderIdentity
from fusion.arms import ABLATION, Arm, role_names
from fusion.bundle.archive import Bundle, place_for, write_bundle
from fusion.bundle.codecs import codec_of, save_model, without_codec
from fusion.bundle.fitting import REPLICATES, FittedArm, fit_arms
from fusion.bundle.inputs import describe_inputs
from fusion.bundle.kinds import BUNDLED
from fusion.bundle.novelty import SHARE, Novelty
from fusion.bundle.record import (
    BY_ROLE,
    BundleRecord,
    CohortRecord,
    EncoderRecord,
    FindingRecord,
    ImageInput,
    MetricRecord,
    ModelRecord,
    NoveltyRecord,
    Performance,
    TimesModelRecord,
)
from fusion.endpoints import find_endpoint
from fusion.evidence import Evidence
from fusion.evidence.saved import command_of
from fusion.features import FeatureTable
from fusion.report.intervals import sentence_of
from fusion.report.methods import DISCLAIMER
from fusion.roles import encoder_of, encoders_of, role_of
from fusion.study import FinalFeatures, Study

_SHORTEST_ID = 5

_WHAT = (
    "Cross-validated in the study: every patient was predicted by fits that had not seen them. "
    "The fit in this bundle learned from all patients and was measured on nobody."
)


def fit_bundle(
    study: Study,
    out: Path,
    arms: Sequence[str] = (),
    replicates: int = REPLICATES,
) -> Bundle:
    """Fits the final system on all patients of a study and writes it.

    The study's cross-validation is finished first: its performance, findings and audit are what
    the bundle says about itself.

    Args:
        study: The study.
        out: The folder, or a file that ends with `.zip`; it must not exist.
        arms: Names of arms; the first gives the probability, the others are scored beside it. By
            default the study's baseline, and the widest LightGBM.
        replicates: Bootstrap replicates an arm.

    Raises:
        ConfigError: `out` exists, another process fits for it, an arm is unknown, or its model
            cannot be bundled.
        DataError: An arm cannot be fitted, or the bundle cannot be written.
    """
    with place_for(out):
        kind = study.source_cohort.outcome.kind
        if kind not in BUNDLED:
            raise ConfigError(
                f"fit: a system for an outcome of the kind {kind!r} cannot be written as a bundle "
                f"yet; its out-of-fold predictions are what `ablate` writes"
            )
        elsewhere = [one.name for one in study.config.embeddings]
        chosen = choose_arms(study.arms, study.baseline, arms, elsewhere, kind)
        study.command = command_of(study.paths) or study.command  # the report is not made for this
        evidence = study.evidence(study.ablate())
        final = study.final_features()
        config, seed = study.config.ablation, study.config.seed
        fitted = fit_arms(final.table, chosen, config, seed, replicates, study.progress)
        record, contents = assemble(study, final, fitted, evidence)
        return write_bundle(record, contents, out)


def choose_arms(
    planned: Sequence[Arm],
    reference: str,
    wanted: Sequence[str] = (),
    elsewhere: Collection[str] = (),
    kind: str = "binary",
) -> tuple[Arm, ...]:
    """Decides which arms go into a bundle.

    Args:
        planned: The arms of the study.
        reference: Name of its baseline.
        wanted: Names that were asked for.
        elsewhere: Embeddings that came from elsewhere: nothing here can make them of a new picture.
        kind: Kind of the outcome.

    Raises:
        ConfigError: A name is unknown or stands twice, a model or its embeddings cannot be
            bundled, or only some arms look at images by role.
    """
    by_name = {arm.name: arm for arm in planned if arm.design == ABLATION}
    fit = [a for a in by_name.values() if codec_of(a.model, kind) and not _imported(a, elsewhere)]
    known = ", ".join(arm.name for arm in fit) or "none"
    if not wanted:
        if by_name[reference] not in fit:
            why = _why(by_name[reference], elsewhere, kind)
            raise ConfigError(
                f"the baseline {reference} cannot be bundled{why}; choose one with --arm: {known}"
            )
        trees = [arm for arm in fit if arm.model == "lightgbm" and arm.name != reference]
        trees.sort(key=lambda arm: -len(arm.modalities))
        chosen = (by_name[reference], *trees[:1])
        _roles(chosen)
        return chosen
    for name in wanted:
        if name not in by_name or by_name[name] not in fit:
            reason = "is no arm of the study"
            if name in by_name:
                reason = f"cannot be bundled{_why(by_name[name], elsewhere, kind)}"
            raise ConfigError(f"--arm {name!r} {reason}; these can be bundled: {known}")
    if len(set(wanted)) < len(wanted):
        raise ConfigError("--arm names an arm twice")
    asked = tuple(by_name[name] for name in wanted)
    _roles(asked)
    return asked


def _why(arm: Arm, elsewhere: Collection[str], kind: str) -> str:
    return _imported(arm, elsewhere) or without_codec(arm.model, kind)


def _imported(arm: Arm, elsewhere: Collection[str]) -> str:
    """Why an arm needs what a bundle cannot make; nothing where it does not."""
    looked = encoders_of(name for m in arm.modalities for name in m.embeddings)
    found = sorted(set(looked) & set(elsewhere))
    if not found:
        return ""
    return (
        f" (it looks at {', '.join(found)}, which came from elsewhere: a bundle has no encoder "
        "that makes them of a new patient's picture)"
    )


def assemble(
    study: Study, final: FinalFeatures, fitted: Sequence[FittedArm], evidence: Evidence
) -> tuple[BundleRecord, dict[str, bytes]]:
    """Builds the record of a bundle and its files.

    Args:
        study: The study.
        final: What the arms were fitted on.
        fitted: The arms; the first gives the probability.
        evidence: The study's evidence.
    """
    config, run = study.config, evidence.run
    table = final.table
    arms = tuple(f.arm for f in fitted)
    contents: dict[str, bytes] = {}
    used = tuple(dict.fromkeys(n for a in arms for m in a.modalities for n in m.embeddings))
    names = [name for name in final.identities if name in encoders_of(used)]
    encoders = tuple(_encoder(study, final, name, contents) for name in names)
    looked = [name for encoder in names for name in used if encoder_of(name) == encoder]
    novelty = tuple(_novelty(table, name, config.seed, contents) for name in looked)
    models = tuple(_model(k, one, evidence, contents) for k, one in enumerate(fitted))
    kind = BUNDLED[evidence.endpoint]
    images = tuple(m.name for m in arms[0].modalities if m.embeddings)
    record = BundleRecord(
        format=BY_ROLE if role_names(m for arm in arms for m in arm.modalities) else kind.format,
        name=run.name,
        disclaimer=DISCLAIMER,
        watermark=watermark(run.linkage, run.synthetic),
        outcome=kind.outcome(study.source_cohort, evidence),
        findings=_findings(study, evidence),
        cohort=CohortRecord(
            digest=run.cohort_digest,
            linkage=run.linkage,
            synthetic=run.synthetic,
            patients=len(np.unique(table.patient_ids.astype(str))),
            events=run.n_events,
            images=run.n_images,
            observed=run.observed,
            persons=run.n_persons if run.observed == "lesion" else 0,
            sources=run.licences,
            table=tuple(
                {c: str(row[c]) for c in ("variable", "level", "unit", "all", "missing")}
                for row in evidence.table1.to_dict("records")
            ),
        ),
        inputs=describe_inputs(table, arms),
        image=ImageInput(
            modalities=images,
            max_megapixels=config.extract.max_megapixels,
            roles=_roles(arms),
        ),
        encoders=encoders,
        novelty=novelty,
        models=models,
        seed=config.seed,
        versions=run.versions,
        files={},
    )
    return record, contents


def _findings(study: Study, evidence: Evidence) -> tuple[FindingRecord, ...]:
    """What the report invalidates or warns of, without ids: a bundle names no patient."""
    cohort = study.cohort
    ids = {str(i) for i in (*cohort.patients["patient_id"], *cohort.images["image_id"])}

    def shown(word: re.Match[str]) -> str:
        # Shorter ones could be any number of the sentence.
        return "…" if len(word[0]) >= _SHORTEST_ID and word[0] in ids else word[0]

    return tuple(
        FindingRecord(level=f.level, text=re.sub(r"[\w.-]*\w", shown, f.text))
        for f in evidence.findings
        if f.level != "note"
    )


def _encoder(
    study: Study, final: FinalFeatures, name: str, contents: dict[str, bytes]
) -> EncoderRecord:
    identity: EncoderIdentity = final.identities[name]
    config: BackboneConfig = final.backbones[name]
    backbone = load_backbone(config, study.config.seed, study.data_root)
    if backbone.weights.card is not None or config.pooling != "own":
        raise ConfigError(
            f"{name} cannot be bundled: it is described by a folder or pooled in another way than "
            "its own, which a bundle does not keep; name arms without it (--arm)"
        )
    file = f"encoders/{name}.safetensors"
    state = {k: v.detach().cpu().contiguous() for k, v in backbone.module.state_dict().items()}
    contents[file] = safetensors.torch.save(state)
    return EncoderRecord(
        name=name,
        architecture=config.name,
        image_size=backbone.preprocessing.geometry.size,
        dimension=identity.dimension,
        origin=identity.origin,
        weights_sha256=identity.weights_sha256,
        preprocessing=identity.preprocessing,
        pooling=identity.pooling,
        dtype=identity.dtype,
        storage_dtype=study.config.extract.storage_dtype,
        training_digest=identity.training_digest if identity.training_patients else "",
        file=file,
    )


def _roles(arms: Sequence[Arm]) -> tuple[str, ...]:
    """Roles of the images that arms look at.

    Raises:
        ConfigError: One arm looks at images by role and another at any image: what a new image
            without a role is for would not be known.
    """
    names = [name for arm in arms for m in arm.modalities for name in m.embeddings]
    roles = tuple(sorted({role_of(name) for name in names}))
    if len(roles) > 1 and "" in roles:
        raise ConfigError(
            "arms that look at images by role and others that look at any image cannot be in one "
            "bundle; choose with --arm"
        )
    return roles if roles != ("",) else ()


def _novelty(
    table: FeatureTable, name: str, seed: int, contents: dict[str, bytes]
) -> NoveltyRecord:
    """What images of an embedding, by role or not, are compared with."""
    encoder, role = encoder_of(name), role_of(name)
    rows = table.pictures()
    if role:
        assert rows.roles is not None  # the reader of a study with roles says them
        rows = rows.take(rows.roles == role)
    fitted = Novelty.fit(rows, encoder, seed)
    file = f"novelty/{encoder}{f'.{len(contents)}' if role else ''}.safetensors"
    contents[file] = safetensors.numpy.save(
        {k: np.ascontiguousarray(v) for k, v in fitted.to_arrays().items()}
    )
    images = int((~np.isnan(rows.embeddings[encoder]).all(axis=1)).sum())
    return NoveltyRecord(
        encoder=encoder, role=role, limit=fitted.limit, share=SHARE, images=images, file=file
    )


def _model(
    k: int, fitted: FittedArm, evidence: Evidence, contents: dict[str, bytes]
) -> ModelRecord | TimesModelRecord:
    arm, prefix, kind = fitted.arm, f"models/{k}", evidence.endpoint
    contents |= save_model(arm.model, fitted.model, prefix, kind)
    replicates = tuple(f"{prefix}/replicates/{i:03d}" for i in range(len(fitted.replicates)))
    for name, replicate in zip(replicates, fitted.replicates, strict=True):
        contents |= save_model(arm.model, replicate, name, kind)
    return BUNDLED[kind].model(
        arm=arm.name,
        model=arm.model,
        modalities=tuple(json.loads(json.dumps(plain(m))) for m in arm.modalities),
        state=prefix,
        replicates=replicates,
        performance=_performance(evidence, arm.name),
        **fitted.decided,
    )


def _performance(evidence: Evidence, arm: str) -> Performance:
    found = next(a for a in evidence.arms if a.arm == arm)
    headline = find_endpoint(evidence.endpoint).headline
    metrics: Mapping[str, MetricRecord] = {
        name: MetricRecord.of(e.value, e.low, e.high) for name, e in found.metrics.items()
    }
    what = f"{_WHAT} {sentence_of([found], evidence, headline)}"
    return Performance(what=what, n=found.n, events=found.events, metrics=dict(metrics))
