"""What a run writes down of what it studies, before anything is fitted."""

from __future__ import annotations

import json
from pathlib import Path

from featurestore.cohort import Cohort
from featurestore.config import dump_config
from featurestore.errors import ConfigError, DataError, MelafuseError
from featurestore.sealed import write_sealed_table, write_sealed_text
from fusion.config import RunConfig
from fusion.evidence.saved import load_own_config
from fusion.paths import ProjectPaths, RunPaths


def require_own_folder(paths: RunPaths, config: RunConfig) -> None:
    """Refuses the folder of another study, whose report and exports would stay beside new numbers.

    Args:
        paths: The run.
        config: The configuration that wants the folder.

    Raises:
        ConfigError: The folder's own configuration has another name or outcome.
    """
    if not paths.config.exists():
        return
    try:
        there = load_own_config(paths)
    except MelafuseError:
        return  # it is damaged or of another version, and is written anew
    own, other = (f"{one.name}, {one.cohort.find_outcome().name}" for one in (config, there))
    if own != other:
        raise ConfigError(
            f"{paths.root} is the folder of another study ({other}), whose report and exports "
            f"would stay beside the numbers of this one ({own}): choose another --out, or remove it"
        )


def require_tuned(project: ProjectPaths) -> None:
    """Refuses to go on where encoders were fine-tuned and are not there.

    Raises:
        DataError: The project holds no fine-tuned encoder.
    """
    if not project.finetune.is_dir():
        raise DataError(
            f"{project.shared} holds none of the run's fine-tuned encoders; name the project that "
            f"has them: --set project=DIR"
        )


def write_cohort(paths: RunPaths, config: RunConfig, data_root: Path, cohort: Cohort) -> None:
    """Writes configuration and cohort, and where data and project are.

    Args:
        paths: The run.
        config: Its configuration.
        data_root: Where relative data paths start.
        cohort: The cohort as it is studied.
    """
    write_sealed_text(paths.config, dump_config(config))
    write_sealed_text(paths.data_root, f"{data_root}\n")
    project = ProjectPaths.of(paths, config.project).root.resolve()
    write_sealed_text(paths.project, f"{project}\n")
    records = json.dumps(cohort.dictionary.to_records(), indent=2, ensure_ascii=False)
    write_sealed_text(paths.cohort / "dictionary.json", records + "\n")
    for name in ("images", "patients", "exclusions"):
        table = cohort.for_people(getattr(cohort, name))
        write_sealed_table(paths.cohort / f"{name}.parquet", table)
    if cohort.pairing is not None:
        write_sealed_text(paths.cohort / "pairing.csv", cohort.pairing.to_csv(index=False))
