"""The doctor: looks at machine and study before a long run, and says what to do.

A new check is one function and one line in `MACHINE_CHECKS` or `STUDY_CHECKS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from featurestore.config import load_config
from featurestore.errors import ConfigError, MelafuseError
from fusion.config import RunConfig
from fusion.start.doctor import machine, study
from fusion.start.doctor.base import Check, Diagnosis, Finding, MachineCheck, fail, ok

MACHINE_CHECKS: tuple[MachineCheck, ...] = (
    MachineCheck("versions", machine.find_versions),
    MachineCheck("torch", machine.find_torch_line),
    MachineCheck("plug-ins", machine.find_plugins),
    MachineCheck("engines", machine.find_engines),
    MachineCheck("memory", machine.find_memory),
    MachineCheck("cores", machine.find_threads),
)
"""Checks that need no configuration."""

STUDY_CHECKS: tuple[Check, ...] = (
    Check("paths", study.find_paths),
    Check("cohort", study.find_outcome),
    Check("arms", study.find_arms),
    Check("images", study.find_images),
    Check("features", study.find_embeddings),
    Check("device", study.find_device),
    Check("weights", study.find_weights),
    Check("store", study.find_store),
    Check("disk", study.find_disk),
    Check("output", study.find_output),
)
"""Checks of a study."""


@dataclasses.dataclass(frozen=True)
class Examined:
    """A finding and the check it came from."""

    check: str
    finding: Finding


def examine(
    config: Path | None = None,
    overrides: Sequence[str] = (),
    data_root: Path | None = None,
    out: Path | None = None,
) -> Iterator[Examined]:
    """Yields the findings of all checks, one after the other; no network is used.

    Args:
        config: YAML file of a study; without it only the machine is looked at.
        overrides: `key.subkey=value` texts.
        data_root: Where relative data paths start; the configuration's folder by default.
        out: Folder of the run; `runs/<name>` by default.
    """
    for check in MACHINE_CHECKS:
        yield from _findings(check.name, check.find)
    if config is None:
        return
    root = config.parent if data_root is None else data_root
    try:
        loaded = load_config(RunConfig, config, overrides)
        if not root.is_dir():
            raise ConfigError(f"data root {root} is not a folder")
    except MelafuseError as error:
        yield Examined("config", fail(str(error), "mend the configuration; docs/configuration.md"))
        return
    yield Examined("config", ok(f"{config} is valid: study {loaded.name}"))
    subject = Diagnosis(loaded, root.resolve(), out or Path("runs") / loaded.name)
    for study_check in STUDY_CHECKS:
        yield from _findings(study_check.name, study_check.find, subject)


def _findings(
    name: str, find: Callable[..., Iterable[Finding]], *subjects: Diagnosis
) -> Iterator[Examined]:
    try:
        for finding in find(*subjects):
            yield Examined(name, finding)
    except MelafuseError as error:
        yield Examined(name, fail(str(error), "a run would end with this error"))
    except Exception as error:  # one broken check must not hide what the others find
        text = f"the check itself failed: {type(error).__name__}: {error}"
        yield Examined(name, fail(" ".join(text.split()), "this is a bug of melafuse"))
