"""Arms of an ablation: which model sees which modalities."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

from featurestore.cohort import ImageRoles
from featurestore.errors import ConfigError
from featurestore.tables import DataDictionary
from fusion.config import AblationConfig, ArmConfig, ModalityConfig
from fusion.endpoints import BINARY, Endpoint, find_endpoint
from fusion.roles import by_role, encoders_of, role_of

ABLATION = "ablation"
"""The design of the arms in the ablation table."""


@dataclasses.dataclass(frozen=True)
class Modality:
    """Embeddings of one or more backbones, or groups of patient columns.

    Attributes:
        name: Unique in a study.
        embeddings: Names of embeddings, by role or of any image (`fusion.roles`).
        groups: Groups of patient columns.
    """

    name: str
    embeddings: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def columns(self, dictionary: DataDictionary) -> list[str]:
        """Names of the usable patient columns of this modality."""
        return [c.name for c in dictionary.features() if c.group in self.groups]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Rebuilds a modality from `dataclasses.asdict`, also after a trip through JSON."""
        return cls(record["name"], tuple(record["embeddings"]), tuple(record["groups"]))


@dataclasses.dataclass(frozen=True)
class Arm:
    """One model on some modalities.

    Attributes:
        name: Unique in a run.
        model: Name of a registered model.
        modalities: What it looks at.
        design: `ABLATION` for a line of the ablation table, else see `fusion.evaluation.designs`.
    """

    name: str
    model: str
    modalities: tuple[Modality, ...]
    design: str = ABLATION

    @property
    def modality_text(self) -> str:
        """Names of the modalities, joined by `+`."""
        return "+".join(m.name for m in self.modalities)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Rebuilds an arm from `dataclasses.asdict`, also after a trip through JSON."""
        modalities = tuple(Modality.from_record(m) for m in record["modalities"])
        return cls(record["name"], record["model"], modalities, record["design"])


def find_modalities(
    config: AblationConfig,
    backbones: list[str],
    dictionary: DataDictionary,
    roles: Mapping[str, ImageRoles] = MappingProxyType({}),
) -> tuple[Modality, ...]:
    """Resolves the configured modalities, or derives them from what the cohort has.

    Modalities that the outcome leaves nothing of are not among them (`withheld_modalities`).

    Args:
        config: The ablation.
        backbones: Names of the embeddings.
        dictionary: The patient columns.
        roles: By name of an embedding the roles of the images that it is of.

    Raises:
        ConfigError: A modality names a backbone, a group or a role that the cohort does not have.
    """
    if config.modalities is None:
        names = (name for backbone in backbones for name in _parted(backbone, roles))
        found = [Modality(name, embeddings=(name,)) for name in names]
        clinical = tuple(g for g in dictionary.groups if g != "expression")
        if clinical:
            found.append(Modality("clinical", groups=clinical))
        if "expression" in dictionary.groups:
            found.append(Modality("expression", groups=("expression",)))
        return tuple(found)
    for name, modality in config.modalities.items():
        _require(modality.embeddings, backbones, f"modality {name!r}: backbone")
        _require(modality.groups, [c.group for c in dictionary], f"modality {name!r}: group")
        _require_role(name, modality, roles)
    withheld = withheld_modalities(config, dictionary)
    return tuple(
        Modality(name, _embeddings(m), m.groups)
        for name, m in config.modalities.items()
        if name not in withheld
    )


def withheld_modalities(config: AblationConfig, dictionary: DataDictionary) -> tuple[str, ...]:
    """Configured modalities all of whose columns are withheld from models for this outcome."""
    usable = set(dictionary.groups)
    return tuple(
        name
        for name, modality in (config.modalities or {}).items()
        if modality.groups and usable.isdisjoint(modality.groups)
    )


def role_names(modalities: Iterable[Modality]) -> tuple[str, ...]:
    """Embeddings by role that modalities look at, each once."""
    names = (name for modality in modalities for name in modality.embeddings)
    return tuple(dict.fromkeys(name for name in names if role_of(name)))


def unseen_roles(
    modalities: Iterable[Modality], roles: Mapping[str, ImageRoles]
) -> tuple[str, ...]:
    """Sentences on images that no modality looks at, because each is of one role.

    Args:
        modalities: All modalities of a study.
        roles: By name of an embedding the roles of the images that it is of.
    """
    looked = {name for modality in modalities for name in modality.embeddings}
    found = []
    for encoder in encoders_of(sorted(looked)):
        own = roles.get(encoder, ImageRoles())
        if encoder in looked or not own.counts:
            continue
        unseen = {r: n for r, n in own.counts.items() if by_role(encoder, r) not in looked}
        parts = [f"{n:,} with the role {role}" for role, n in unseen.items()]
        parts += [f"{own.unsaid:,} whose role nobody says"] if own.unsaid else []
        if parts:
            found.append(f"No modality looks at these images: {', '.join(parts)}")
    return tuple(dict.fromkeys(found))


def _parted(backbone: str, roles: Mapping[str, ImageRoles]) -> list[str]:
    """A backbone's embedding, or one a role where images belong together by role."""
    own = roles.get(backbone)
    if own is None or not own.are_paired:
        return [backbone]
    return [by_role(backbone, role) for role in own.names]


def _embeddings(modality: ModalityConfig) -> tuple[str, ...]:
    if modality.role is None:
        return modality.embeddings
    return tuple(by_role(name, modality.role) for name in modality.embeddings)


def _require_role(name: str, modality: ModalityConfig, roles: Mapping[str, ImageRoles]) -> None:
    if modality.role is None:
        return
    for embedding in modality.embeddings:
        known = roles[embedding].names if embedding in roles else ()
        if modality.role not in known:
            have = ", ".join(known) or "none: the images say no role"
            raise ConfigError(
                f"modality {name!r}: no image that {embedding} embeds has the role "
                f"{modality.role!r}; roles: {have}"
            )


@dataclasses.dataclass(frozen=True)
class AblationPlan:
    """What an ablation compares; `plan_ablation` makes it, and refuses what cannot be run.

    Attributes:
        modalities: What models may look at.
        arms: The arms of the ablation table.
        reference: Name of the arm that differences are taken against.
    """

    modalities: tuple[Modality, ...]
    arms: tuple[Arm, ...]
    reference: str


def plan_ablation(
    config: AblationConfig,
    backbones: list[str],
    dictionary: DataDictionary,
    kind: str = "binary",
    roles: Mapping[str, ImageRoles] = MappingProxyType({}),
) -> AblationPlan:
    """Plans an ablation; whoever runs, checks or proposes one asks this.

    Args:
        config: The ablation.
        backbones: Names of the embeddings that there will be.
        dictionary: The patient columns, those that models must not see flagged.
        kind: Kind of the outcome.
        roles: By name of an embedding the roles of the images that it is of.

    Raises:
        ConfigError: A name is unknown, two arms are the same, or there is nothing to learn from.
    """
    modalities = find_modalities(config, backbones, dictionary, roles)
    if not modalities:
        raise ConfigError(
            "ablation: there is nothing to learn from: the cohort has no image, and no column that "
            "models may see"
        )
    withheld = withheld_modalities(config, dictionary)
    arms = plan_arms(config, modalities, withheld, find_endpoint(kind))
    if not arms:
        raise ConfigError("ablation: no arm is left of those that are asked for")
    return AblationPlan(modalities, arms, reference_arm(config, arms))


def plan_arms(
    config: AblationConfig,
    modalities: tuple[Modality, ...],
    withheld: tuple[str, ...] = (),
    endpoint: Endpoint = BINARY,
) -> tuple[Arm, ...]:
    """Lists all arms in the order of the table: subset by subset, then the further arms.

    Of the further arms that nobody asked for, those that the grid has already are not added.

    Args:
        config: The ablation.
        modalities: What `find_modalities` found.
        withheld: Modalities of which nothing is left; arms that name one are left out.
        endpoint: Has the models that are fitted where none are asked for.

    Raises:
        ConfigError: A subset or an arm names an unknown modality, or two arms are the same.
    """
    by_name = {m.name: m for m in modalities}
    grid = _grid(config, tuple(by_name), endpoint)
    further = [
        (a.model, a.modalities or tuple(by_name))
        for a in further_arms(config, tuple(by_name), endpoint)
    ]
    kept = [(model, s) for model, s in (*grid, *further) if not set(s) & set(withheld)]
    arms = [_arm(model, subset, by_name) for model, subset in kept]
    names = [arm.name for arm in arms]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise ConfigError(f"ablation: arm {repeated[0]!r} is asked for twice")
    return tuple(arms)


def further_arms(
    config: AblationConfig, names: tuple[str, ...], endpoint: Endpoint = BINARY
) -> tuple[ArmConfig, ...]:
    """The arms beside the grid: those that are asked for, or those of the kind of endpoint.

    Args:
        config: The ablation.
        names: Names of all modalities.
        endpoint: Has the arms that are added where none are asked for and the grid lacks them.
    """
    default = tuple(ArmConfig(model=model) for model in endpoint.arms)
    if config.arms is not None and config.arms != default:
        return config.arms
    have = [model for model, subset in _grid(config, names, endpoint) if set(subset) == set(names)]
    return tuple(arm for arm in default if arm.model not in have)


def reference_arm(config: AblationConfig, arms: tuple[Arm, ...]) -> str:
    """Name of the arm that differences are taken against.

    Raises:
        ConfigError: The configured reference is not an arm.
    """
    if config.reference is not None:
        _require((config.reference,), [a.name for a in arms], "ablation.reference")
        return config.reference
    widest = max(len(a.modalities) for a in arms)
    return next(a.name for a in arms if len(a.modalities) == widest)


def _grid(
    config: AblationConfig, names: tuple[str, ...], endpoint: Endpoint
) -> list[tuple[str, tuple[str, ...]]]:
    models = endpoint.models if config.models is None else config.models
    return [(model, subset) for subset in _subsets(config, names) for model in models]


def _subsets(config: AblationConfig, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    if config.subsets == "all":
        sizes = range(1, len(names) + 1)
        return [s for size in sizes for s in itertools.combinations(names, size)]
    if config.subsets == "singles_and_full":
        return [*((n,) for n in names), *([names] if len(names) > 1 else [])]
    return [tuple(s) for s in config.subsets]


def _arm(model: str, subset: tuple[str, ...], by_name: dict[str, Modality]) -> Arm:
    _require(subset, list(by_name), f"arm with {model}: modality")
    everything = len(subset) > 1 and set(subset) == set(by_name)
    shown = "all" if everything else "+".join(subset)
    return Arm(f"{model}[{shown}]", model, tuple(by_name[n] for n in subset))


def _require(names: tuple[str, ...], known: list[str], what: str) -> None:
    for name in names:
        if name not in known:
            have = ", ".join(dict.fromkeys(known))
            raise ConfigError(f"{what} {name!r} is unknown; known: {have}")
