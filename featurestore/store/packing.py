"""One plain HDF5 file of a whole store, for people who want no virtual datasets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import h5py
import numpy as np

from featurestore.atomic import appearing, replacing
from featurestore.disk import reason
from featurestore.errors import ConfigError, StoreError
from featurestore.store.hdf5_file import hdf5_file
from featurestore.store.layout import chosen, require_store
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.shards import DamagedShard, ShardRows, read_shard
from featurestore.store.store import FeatureStore
from featurestore.store.virtual import FIELDS, describe_group, group_names, type_of


def pack(store: FeatureStore, out: Path, encoders: Collection[str] | None = None) -> Path:
    """Writes one plain HDF5 file with a group for each encoder, as in `features.h5`.

    Rows come from verified shards only, and the file is read back and compared before it appears.
    Embeddings are float32 whatever the shards hold.

    Args:
        store: The store, which is not changed.
        out: The file; it must not exist.
        encoders: Digests, or their first digits, of the encoders to pack; None packs all.

    Raises:
        ConfigError: `out` exists.
        StoreError: There is no such store or encoder, or the file cannot be written.
    """
    require_store(store.root)
    known = store.encoders()
    digests = chosen((e.digest for e in known), encoders)
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} exists; remove it, or name another file")
    packed = [e for e in known if e.digest in digests]
    groups = dict(zip(group_names(packed), packed, strict=True))
    try:
        with appearing(out), replacing(out) as temporary:
            with hdf5_file(temporary, "w") as file:
                for name, identity in groups.items():
                    _write(file.create_group(name), store, identity)
            with hdf5_file(temporary, "r") as file:
                if not all(_is_equal(file[n], store, i) for n, i in groups.items()):
                    raise StoreError(f"{out}: reads back differently from the store; not written")
    except DamagedShard as error:
        raise StoreError(f"{store.root}: a shard was damaged meanwhile ({error})") from None
    except OSError as error:
        raise StoreError(f"cannot write {out}: {reason(error)}") from None
    return out


def _write(group: h5py.Group, store: FeatureStore, identity: EncoderIdentity) -> None:
    describe_group(group, identity)
    n = sum(len(keep) for _, _, keep in store.distinct_rows(identity))
    targets = {}
    for field in FIELDS:
        dtype, tail = type_of(field, identity)
        targets[field] = group.create_dataset(field, shape=(n, *tail), dtype=dtype)
    for start, stop, rows in _parts(store, identity):
        for field, target in targets.items():
            target[start:stop] = getattr(rows, field)


def _is_equal(group: h5py.Group, store: FeatureStore, identity: EncoderIdentity) -> bool:
    stop = 0
    for start, stop, rows in _parts(store, identity):
        for field in FIELDS:
            data = group[field].asstr() if field == "image_id" else group[field]
            if not np.array_equal(data[start:stop], getattr(rows, field)):
                return False
    return bool(len(group["sha256"]) == stop)


def _parts(store: FeatureStore, identity: EncoderIdentity) -> Iterator[tuple[int, int, ShardRows]]:
    """First and last position in the file, and the rows, of each shard that has any."""
    start = 0
    for path, _, keep in store.distinct_rows(identity):
        if keep:
            rows = read_shard(path, identity.digest)
            kept = ShardRows(*(getattr(rows, f)[keep] for f in _SHARD_FIELDS))
            yield start, start + len(keep), kept
            start += len(keep)


_SHARD_FIELDS = ("sha256", "view", "image_id", "embedding")
