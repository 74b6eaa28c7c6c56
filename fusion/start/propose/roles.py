"""Modalities by role, where most patients have images of several roles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from featurestore.cohort import ImageRoles
from featurestore.units import NOUNS
from fusion.config import RunConfig
from fusion.start.propose.rendering import flow

_NAMES = {"dermoscopic": "derm", "close-up": "clinic", "total body tile": "tile"}
"""Short names of modalities that literature uses for a role."""


def modalities_by_role(config: RunConfig, roles: ImageRoles, groups: Iterable[str]) -> str:
    """The section that makes each role a modality, as text of YAML; nothing where roles are alone.

    Args:
        config: The proposal without it.
        roles: Roles of all images.
        groups: Groups of patient columns that models may see.
    """
    if not roles.are_paired:
        return ""
    noun = NOUNS[config.cohort.unit].one
    shown = ", ".join(f"{n:,} {_in_a_comment(role)}" for role, n in roles.counts.items())
    backbones = [backbone.name for backbone in config.extract.backbones]
    lines = [
        "ablation:",
        f"  # Images by role (how a picture was taken): {shown}.",
        f"  # Each role is a modality: the mean over a {noun}'s images of that role. A {noun} that",
        "  # lacks one is scored by the others. A backbone that is added above is added here too.",
        "  modalities:",
    ]
    groups = list(groups)
    plain = [group for group in groups if group != "expression"]
    taken = {"clinical", "expression"}
    for role in roles.names:
        name = _name(role, taken)
        taken.add(name)
        lines.append(f"    {flow(name)}: {flow({'embeddings': backbones, 'role': role})}")
    if plain:
        lines.append(f"    clinical: {flow({'groups': plain})}")
    if "expression" in groups:
        lines.append("    expression: {groups: [expression]}")
    return "\n".join(lines) + "\n"


def _name(role: str, taken: set[str]) -> str:
    plain = _NAMES.get(role) or re.sub(r"[^a-z0-9]+", "_", role.casefold()).strip("_") or "role"
    numbered: Sequence[str] = [plain, *(f"{plain}_{k}" for k in range(2, len(taken) + 3))]
    return next(name for name in numbered if name not in taken)


def _in_a_comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
