"""Plug-ins: what installed packages register under `melafuse.models`, `.sources` and `.exports`.

Only entry points of installed packages count, and only by their name: no text of a configuration is
ever taken for a module or a path. Listing them imports nothing; a plug-in is imported when it is
asked for by name.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import sys
from typing import Any, Literal

from featurestore.errors import ConfigError, name_some, one_line

Group = Literal["melafuse.models", "melafuse.sources", "melafuse.exports"]


@dataclasses.dataclass(frozen=True)
class Plugin:
    """One entry point of an installed package.

    Attributes:
        name: What a configuration calls it.
        group: What kind of thing it is.
        distribution: Name of the package that brings it.
        version: Version of the package.
        rivals: Other packages that register the same name in the group.
        point: The entry point.
    """

    name: str
    group: str
    distribution: str
    version: str
    point: importlib.metadata.EntryPoint
    rivals: tuple[str, ...] = ()

    def load(self) -> Any:
        """Imports what the package registers.

        Raises:
            ConfigError: Two packages register the name, or the package cannot be imported.
        """
        if self.rivals:
            raise ConfigError(
                f"{self.name!r} is registered under {self.group} by {self.distribution} and by "
                f"{name_some(self.rivals)}: uninstall all but one"
            )
        try:
            return self.point.load()
        except Exception as error:
            raise ConfigError(
                f"{self.name!r} of {self.distribution} {self.version} cannot be loaded from "
                f"{self.point.value!r} ({type(error).__name__}: {one_line(error)})"
            ) from error


def plugins(group: Group) -> dict[str, Plugin]:
    """What installed packages register in a group, by name; nothing is imported."""
    return dict(_listed(group, tuple(sys.path)))


@functools.lru_cache(maxsize=32)
def _listed(group: str, _path: tuple[str, ...]) -> dict[str, Plugin]:
    found: dict[str, Plugin] = {}
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda p: p.name):
        package = point.dist
        name = "an unnamed package" if package is None else package.name
        known = found.get(point.name)
        if known is None:
            version = "" if package is None else package.version
            found[point.name] = Plugin(point.name, group, name, version, point)
        elif name not in (known.distribution, *known.rivals):
            found[point.name] = dataclasses.replace(known, rivals=(*known.rivals, name))
    return found
