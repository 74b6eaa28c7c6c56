"""Writes rows FIRST..LAST to a store and names each committed shard; run as a child process."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]

from store_example import batch, identity  # noqa: E402

from featurestore.store.store import FeatureStore  # noqa: E402

if __name__ == "__main__":
    root, first, last, per_shard = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    with FeatureStore(root).writer(identity(), shard_rows=per_shard) as writer:
        for start in range(first, last, per_shard):
            writer.append(*batch(range(start, min(start + per_shard, last))))
            sys.stdout.write(f"{start}\n")
            sys.stdout.flush()
