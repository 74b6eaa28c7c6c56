"""A folder that `hf upload` pushes: model card with metadata, report, tables, and the bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.atomic import make_folder
from featurestore.errors import ConfigError, DataError
from featurestore.json_text import parse_json
from fusion.publish.base import Publication, State, write_files
from fusion.publish.hub_card import hub_card

RECORD = "melafuse.json"
"""Names what melafuse wrote, so that nothing else in the folder is ever touched."""


class HubFolder:
    """A folder in the layout of the Hugging Face Hub."""

    name = "hf-folder"
    place = "DIR"

    def require(self, where: str) -> None:
        """See `fusion.publish.base.Publisher`."""
        if Path(where).exists() and not Path(where).is_dir():
            raise ConfigError(f"{where} is not a folder")

    def publish(self, publication: Publication, where: str) -> State:
        """See `fusion.publish.base.Publisher`."""
        folder = Path(where)
        self.require(where)
        try:
            return _publish(publication, folder)
        except OSError as error:
            raise DataError(f"cannot write {folder}: {error.strerror or error}") from None


def _publish(publication: Publication, folder: Path) -> State:
    files = {"README.md": hub_card(publication).encode(), **publication.files, **publication.bundle}
    earlier = _earlier(folder)
    if earlier is not None and earlier.get("name") != publication.name:
        raise ConfigError(
            f"{folder} holds {earlier.get('name')}, not {publication.name}: name another folder, "
            "or remove this one"
        )
    listed: Mapping[str, str] = {} if earlier is None else earlier["files"]
    taken = [n for n in files if n not in listed and (folder / n).exists()]
    if taken:
        raise ConfigError(
            f"{folder / taken[0]} is not melafuse's: name another folder, or remove it"
        )
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    if listed == digests and all(_digest(folder / n) == d for n, d in digests.items()):
        return "unchanged"
    make_folder(folder)
    every = {**listed, **digests}  # an interrupted update knows what is whose
    _write_record(folder, publication, every)
    write_files(files, folder)
    for name in listed.keys() - digests.keys():
        (folder / name).unlink(missing_ok=True)
    _write_record(folder, publication, digests)
    return "published" if earlier is None else "updated"


def _write_record(folder: Path, publication: Publication, digests: Mapping[str, str]) -> None:
    record = {"name": publication.name, "digest": publication.digest, "files": dict(digests)}
    record |= {"tags": dict(publication.tags)}
    text = json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    write_files({RECORD: text.encode()}, folder)


def _earlier(folder: Path) -> dict[str, Any] | None:
    """What melafuse wrote about the folder before; None where it did not."""
    path = folder / RECORD
    if not path.exists():
        return None
    damaged = DataError(f"{path} is damaged; remove the folder and publish again")
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        raise damaged from None
    files = record.get("files") if isinstance(record, dict) else None
    if not isinstance(files, dict) or any(_leads_out(name) for name in files):
        raise damaged
    return dict(record)


def _leads_out(name: str) -> bool:
    """Whether a name in a record would lead out of its folder."""
    parts = Path(name).parts
    return Path(name).is_absolute() or ".." in parts or not parts


def _digest(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
