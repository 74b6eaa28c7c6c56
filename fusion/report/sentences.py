"""Sentences about a run, each made from what ran; without it there is no sentence.

TRIPOD+AI, the model card and the methods share them.
"""

from __future__ import annotations

from collections.abc import Iterable

from featurestore.tables import OUTCOME_STAGE, TIMES
from featurestore.units import counted
from fusion.evidence import EncoderFacts, Evidence, FlowStep
from fusion.evidence.about import EVERY_FOLD
from fusion.evidence.subgroups import SITE, Subgroup
from fusion.models import AS_GIVEN
from fusion.roles import encoder_of, role_of

MOST_NAMES = 12
"""Columns of a group that are named; the codebook names all."""


def named(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """Names joined by commas; beyond `most` the rest is counted."""
    listed = list(names)
    rest = len(listed) - most
    shown = ", ".join(listed[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown


def encoder_line(encoder: EncoderFacts) -> str:
    """An encoder with its digest, or one a fold."""
    where = {
        "elsewhere": f"weights {encoder.weights}",
        "never": f"weights {encoder.weights}",
        "training parts": "fine-tuned on the training patients of each fold",
        "other patients": "fine-tuned on other patients",
        "unknown": f"imported from {encoder.weights}, trained on nobody knows whom",
        "listed patients": f"imported from {encoder.weights}, trained on patients that are listed",
    }[encoder.trained]
    one = encoder.digests.keys() == {EVERY_FOLD}
    digests = [d if one else f"{fold} {d}" for fold, d in encoder.digests.items()]
    return f"{encoder.name}: {encoder.dimension}-d, {where}, {', '.join(digests)}"


def predictors(e: Evidence) -> str:
    """What the fitted arms looked at; empty where nothing is known of it."""
    used = e.used
    parts = [f"{group} ({len(own)}: {named(own)})" for group, own in used.columns.items()]
    if used.embeddings:
        means = (
            f"; each is the mean over a {e.noun.one}'s images of that role" if by_role(e) else ""
        )
        shown = ", ".join(
            f"{encoder_of(name)} of {role_of(name)} images" if role_of(name) else name
            for name in used.embeddings
        )
        parts.insert(0, f"image embeddings ({shown}{means})")
    return "; ".join(parts)


def by_role(e: Evidence) -> bool:
    """Whether a fitted arm looked at images by role."""
    return any(role_of(name) for name in e.used.embeddings)


def left_aside(e: Evidence) -> list[str]:
    """Which columns no arm looked at, and why, a sentence each."""
    used, unread = e.used, e.run.analysis.unread
    found = []
    if used.idle:
        found.append(f"No fitted arm looked at {len(used.idle)} usable columns: {named(used.idle)}")
    if used.withheld:
        found.append(
            f"Withheld from models, because they reveal the outcome or become known later: "
            f"{named(used.withheld)}"
        )
    if unread:
        found.append(
            f"{counted(unread, 'column')} of the files {'was' if unread == 1 else 'were'} not "
            "read: no source understands them"
        )
    return found


def measured(e: Evidence) -> str:
    """When the used columns become known; empty without columns."""
    counts = e.used.measured
    shown = [(time, counts[time]) for time in (*TIMES[1:], TIMES[0]) if counts.get(time)]
    words = {"unknown": "at a time that is not stated"}
    return ", ".join(f"{n} {words.get(time, f'at {time}')}" for time, n in shown)


def split(e: Evidence) -> str:
    """The outer folds."""
    analysis = e.run.analysis
    if not analysis.n_folds:
        return "Outer folds"
    times = f", repeated {analysis.repeats} times with other shuffles"
    kept = kept_together(e)
    return (
        f"{analysis.n_folds} outer folds, stratified by the outcome"
        f"{times if analysis.repeats > 1 else ''}{f'; {kept}' if kept else ''}"
    )


def kept_together(e: Evidence) -> str:
    """Who is never parted by a fold; empty where everyone stands alone."""
    many, pictured = e.noun.many, bool(e.run.n_images)
    if e.run.observed == "patient":
        return "patients who share a copied image stay together" if pictured else ""
    copies = f"{many} that share a copied image"
    if nameless(e):
        alone = f"each {e.noun.one} is a group of its own"
        kept = f"{copies} stay together, and no others" if pictured else alone
        return f"{kept}, because patients are not known"
    return f"{many} of one patient{f', and {copies},' if pictured else ''} stay together"


def drawn_together(e: Evidence) -> str:
    """What the bootstrap draws together, in brackets; empty where it draws single patients."""
    if e.run.observed == "patient":
        return " (patients that share an image are drawn together)" if e.run.n_images else ""
    clusters = counted(e.run.n_clusters, "cluster")
    if nameless(e):
        return f" ({clusters}, because patients are not known)"
    share = " or share an image" if e.run.n_images else ""
    return f" ({clusters}: {e.noun.many} that are of one patient{share})"


def nameless(e: Evidence) -> bool:
    """Whether of no observation the patient is known, so that each stands for itself."""
    return e.run.n_nameless == e.run.n_patients


def building(e: Evidence) -> list[str]:
    """How the fitted models are fitted inside the training part, a sentence each."""
    models, config = e.used.models, e.config
    inner = config.tuning.inner_folds
    found = []
    if models.tuned:
        found.append(
            f"{', '.join(models.tuned)}: {config.tuning.trials} trials by Optuna on {inner} inner "
            "folds."
        )
    if models.grid:
        found.append(f"{', '.join(models.grid)}: a fixed grid of settings on {inner} inner folds.")
    stop = f"{config.head.validation_fraction:.0%} of the training {e.noun.many}"
    heads = [name for name in models.heads if name not in models.joint]
    if heads:
        several = f", averages of {config.head.ensemble}," * (config.head.ensemble > 1)
        found.append(f"Neural networks of {', '.join(heads)}{several} stop early on {stop}.")
    if models.joint:
        names = ", ".join(models.joint)
        found.append(f"{names}: encoders and head are trained together and stop early on {stop}.")
    for name, what in models.own.items():
        found.append(
            f"{name}: {what}, a model that is no part of melafuse, on the same encoded inputs and "
            f"with the parameters that it was given."
        )
    if models.outside:
        found.append(
            f"{', '.join(models.outside)}: predictions that were made outside of this run; how is "
            f"not on record. What depends on them inside a fold is decided on their predictions of "
            f"the other folds."
        )
    for trained, whom in (
        ("training parts", f"the training {e.noun.many} of each outer fold"),
        ("other patients", "patients of another cohort"),
    ):
        tuned = [x.name for x in e.run.encoders if x.trained == trained]
        if tuned:
            found.append(f"Encoders {', '.join(tuned)} are fine-tuned on {whom}.")
    return found


def inner_steps(e: Evidence, last: str = "thresholds of decisions") -> str:
    """What uses inner parts of the outer training part.

    Args:
        e: The evidence.
        last: What always does, of this kind of endpoint.
    """
    models, calibrated = e.used.models, e.calibration != AS_GIVEN
    steps = [
        *(["tuning"] if models.tuned or models.grid else []),
        *(["early stopping"] if models.heads else []),
        *(["calibration"] if calibrated else []),
        last,
    ]
    return " and ".join([", ".join(steps[:-1]), steps[-1]] if steps[1:] else steps)


def preparation_of_columns(e: Evidence) -> list[str]:
    """How the used columns and embeddings become numbers, a clause each."""
    used, metadata = e.used, e.config.metadata
    found = []
    if used.kinds.keys() & {"numeric", "binary", "ordinal"}:
        found.append("numeric, binary and ordered columns are scaled")
    if "nominal" in used.kinds:
        found.append("categories are coded one column a level")
    if "expression" in used.kinds:
        reduced = f", reduced to at most {metadata.expression_components} principal components"
        shown = reduced if metadata.expression_components else ""
        found.append(f"expression is logarithmic and standardised{shown}")
    if used.embeddings and set(_regressions(e)):
        found.append(
            f"embeddings are reduced to at most {metadata.embedding_components} principal "
            f"components for {', '.join(_regressions(e))}"
        )
    return found


def missing_values(e: Evidence) -> list[str]:
    """What stands for missing values of the used columns and images, a sentence each."""
    used = e.used
    found = []
    if used.missing.keys() & {"numeric", "binary", "ordinal"}:
        found.append(
            "A missing numeric, binary or ordered value becomes the median of the outer training "
            "part, with an indicator of missingness."
        )
    if "nominal" in used.missing:
        found.append("A missing category has no level (zeros), with an indicator.")
    if "expression" in used.missing:
        found.append(
            f"A missing gene has its training mean; a {e.noun.one} without any gene has an "
            f"indicator."
        )
    lacking = [(n, f"{role} image") for role, n in used.without_role.items() if n]
    if any(not role_of(name) for name in used.embeddings) and used.without_image:
        lacking.insert(0, (used.without_image, "image"))
    if lacking:
        stands = []
        if _regressions(e):
            stands.append(
                "the embedding is at the training mean, with an indicator, in "
                f"{', '.join(_regressions(e))}"
            )
        if used.models.heads:
            stands.append(f"the modality is masked in {', '.join(used.models.heads)}")
        counts = ", ".join(
            f"{e.noun.counted(n)} {'has' if n == 1 else 'have'} no {what}" for n, what in lacking
        )
        found.append(f"{counts}: {'; '.join(stands)}.")
    if not found:
        return ["No value of a predictor is missing."]
    return found


def score(e: Evidence) -> str:
    """What a patient's score is."""
    if e.used.embeddings and e.used.several_images:
        return f"A {e.noun.one}'s score is the mean logit over the {e.noun.one}'s images"
    return f"A {e.noun.one}'s score is the logit of the predicted probability"


def imbalance(e: Evidence) -> str:
    """What was done about unequal classes."""
    sampled = e.used.models.sampled
    if e.config.head.weighted_sampling and sampled:
        return (
            f"{', '.join(sampled)} draw events and non-events equally often, which harms "
            "calibration (van den Goorbergh et al. 2022); all other models see the classes as they "
            "are."
        )
    return "Nothing was done: models see the classes as they are."


def left_out(e: Evidence) -> list[FlowStep]:
    """Observations that were left out, counted."""
    return [step for step in e.flow if step.entity == e.noun.one]


def by_outcome(e: Evidence) -> str:
    """Who was left out because the outcome is not known, by reason; empty for nobody."""
    return _counted(step for step in left_out(e) if step.stage == OUTCOME_STAGE)


def otherwise_left_out(e: Evidence) -> str:
    """Who was left out for other reasons; empty for nobody."""
    return _counted(step for step in left_out(e) if step.stage != OUTCOME_STAGE)


def _counted(steps: Iterable[FlowStep]) -> str:
    reasons: dict[str, int] = {}
    for step in steps:
        reasons[step.reason] = reasons.get(step.reason, 0) + step.n
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{reason}: {n:,}" for reason, n in ranked)


def columns_of_subgroups(e: Evidence) -> str:
    """Columns by which the baseline is looked at."""
    return ", ".join(dict.fromkeys(group.column for group in e.subgroups))


def site_subgroups(e: Evidence) -> list[Subgroup]:
    """Source sites of which the baseline has numbers."""
    return [group for group in e.subgroups if group.name == SITE and group.metrics]


def years(e: Evidence) -> str:
    """Years of the calendar that the data state; empty where they state none."""
    return "; ".join(
        f"{y.what} {y.first} to {y.last}, known of {y.known:,} {e.noun.many}"
        for y in e.run.analysis.years
    )


def compared_with(e: Evidence) -> str:
    """How many arms of each kind the baseline is compared with."""
    others = [arm for arm in e.arms if arm.arm != e.baseline]
    counts = [
        (sum(arm.kind == kind for arm in others), words)
        for kind, words in (
            ("arm", "other arm"),
            ("reference", "clinical reference"),
            ("floor", "floor"),
        )
    ]
    said = [f"{n} {words}{'s' if n > 1 else ''}" for n, words in counts if n]
    return " and ".join([", ".join(said[:-1]), said[-1]] if said[1:] else said) or "nothing else"


def _regressions(e: Evidence) -> list[str]:
    """Fitted models that see components of embeddings."""
    models = e.used.models
    seen = (arm.model for arm in e.arms if {*arm.modalities} & _with_embeddings(e))
    return [name for name in dict.fromkeys(seen) if name in (*models.grid, *models.tuned)]


def _with_embeddings(e: Evidence) -> set[str]:
    return {m.name for m in e.run.analysis.modalities if m.embeddings}
