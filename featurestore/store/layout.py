"""What lies in a store's folders, and what of it may be trusted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from featurestore.errors import StoreError
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.shards import NAME

DIGEST = re.compile(r"[0-9a-f]{64}")
IMPORT_RECORD = "imported.json"
"""What an import from elsewhere leaves beside its shards, sealed."""


def encoder_folders(root: Path) -> list[Path]:
    """Folders of all encoders, sorted by digest, described or not.

    Raises:
        StoreError: A folder is a symbolic link.
    """
    folders = sorted(p for p in (root / "encoders").glob("*") if DIGEST.fullmatch(p.name))
    for folder in folders:
        refuse_links(folder)
    return [folder for folder in folders if folder.is_dir()]


def shard_paths(folder: Path) -> list[Path]:
    """Committed shards of an encoder's folder, sorted by name; temporary files are not among them.

    Raises:
        StoreError: A folder is a symbolic link.
    """
    refuse_links(folder)
    return sorted(p for p in (folder / "shards").glob("*.h5") if NAME.fullmatch(p.name))


def described(path: Path) -> EncoderIdentity:
    """Reads an `encoder.json`.

    Raises:
        StoreError: It cannot be read, was edited, or is not that of the folder it lies in.
    """
    hint = "`melafuse store verify --repair` sets it aside"
    try:
        identity = EncoderIdentity.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); {hint}") from None
    except StoreError as error:
        raise StoreError(f"{path}: {error}; {hint}") from None
    if identity.digest != path.parent.name:
        raise StoreError(f"{path}: describes encoder {identity.short}, not this folder; {hint}")
    return identity


def chosen(digests: Iterable[str], prefixes: Collection[str] | None) -> list[str]:
    """Those of `digests` that start with one of `prefixes`; all where `prefixes` is None.

    Raises:
        StoreError: A prefix is no prefix of any.
    """
    known = list(digests)
    for prefix in prefixes or ():
        if not prefix or not any(d.startswith(prefix) for d in known):
            raise StoreError(f"the store has no encoder {prefix!r}; see `melafuse store info`")
    if prefixes is None:
        return known
    return [d for d in known if d.startswith(tuple(prefixes))]


def refuse_links(folder: Path) -> None:
    """A link could lead reading, writing and removal out of the store.

    Raises:
        StoreError: The encoder's folder, or that of its shards, is a symbolic link.
    """
    for part in (folder.parent, folder, folder / "shards"):
        if part.is_symlink():
            raise StoreError(
                f"{part}: is a symbolic link; link the store's own folder, nothing inside it"
            )


def require_store(root: Path) -> None:
    """Refuses a folder that is no store.

    Raises:
        StoreError: The folder has no encoders.
    """
    if not (root / "encoders").is_dir():
        raise StoreError(f"{root}: no feature store here (no folder `encoders`)")
