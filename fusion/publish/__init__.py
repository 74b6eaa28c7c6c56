"""Where people look: a finished run in MLflow, or as a folder for the Hugging Face Hub.

One file a place, one line here to register it. Places are handed a `Publication`, in which no
patient is named, and decide nothing about what may be published.
"""

from __future__ import annotations

from collections.abc import Mapping

from featurestore.errors import ConfigError
from fusion.publish.base import Publication, PublishedArm, Publisher, State
from fusion.publish.hub_folder import HubFolder
from fusion.publish.mlflow_runs import MlflowRuns
from fusion.publish.preparing import Wishes, prepare

PUBLISHERS: Mapping[str, Publisher] = {
    publisher.name: publisher for publisher in (MlflowRuns(), HubFolder())
}


def find_publisher(target: str) -> tuple[Publisher, str]:
    """The publisher that `--to` names, and where it publishes to.

    Args:
        target: `NAME:PLACE`, for example `mlflow:sqlite:///runs.db`.

    Raises:
        ConfigError: No publisher has this name, or no place is named.
    """
    name, _, place = target.partition(":")
    forms = ", ".join(f"{p.name}:{p.place}" for p in PUBLISHERS.values())
    if name not in PUBLISHERS or not place:
        raise ConfigError(f"--to {target}: name one of {forms}")
    return PUBLISHERS[name], place


__all__ = [
    "PUBLISHERS",
    "Publication",
    "PublishedArm",
    "Publisher",
    "State",
    "Wishes",
    "find_publisher",
    "prepare",
]
