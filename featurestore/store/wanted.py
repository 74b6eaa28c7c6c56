"""Which embeddings a read still lacks, and where they go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featurestore.store.index import ShardIndex


class Wanted:
    """Images that are asked for, in order; the first row that has one is its embedding.

    Attributes:
        left: Number of different images that no shard had so far.
        repeated: Places of images that were asked for before, and the first place of each.
    """

    def __init__(self, sha256s: Sequence[str], view: int) -> None:
        """Numbers what is asked for.

        Args:
            sha256s: Digests of the images; n of them.
            view: Number of the view.
        """
        self._places: dict[bytes, int] = {}
        self._view = view
        self.repeated: list[tuple[int, int]] = []
        for place, digest in enumerate(sha256s):
            first = self._places.setdefault(digest.encode(), place)
            if first != place:
                self.repeated.append((place, first))
        self.left = len(self._places)
        self._lacking = np.zeros(len(sha256s), dtype=bool)
        self._lacking[list(self._places.values())] = True

    def meets(self, index: ShardIndex) -> bool:
        """Whether a shard has anything that is lacking."""
        return len(self._found(index)[0]) > 0

    def met(self, index: ShardIndex) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a shard that were lacking, and their places; these are met from now on."""
        sources, places = self._found(index)
        _, first = np.unique(places, return_index=True)
        if len(first) < len(places):
            first.sort()
            sources, places = sources[first], places[first]
        self._lacking[places] = False
        self.left -= len(places)
        return sources, places

    def unmet(self) -> list[str]:
        """Digests of the images that no shard had."""
        return [d.decode() for d, place in self._places.items() if self._lacking[place]]

    def _found(self, index: ShardIndex) -> tuple[np.ndarray, np.ndarray]:
        find = self._places.get
        places = np.array([find(digest, -1) for digest in index.sha256.tolist()], dtype=np.int64)
        lacking = (places >= 0) & (index.view == self._view)
        lacking[lacking] = self._lacking[places[lacking]]
        sources = np.flatnonzero(lacking)
        return sources, places[sources]
