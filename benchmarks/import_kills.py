"""Kills imports and looks whether anything was lost or is wrong.

    python -m benchmarks.import_kills --kills 200

Each trial goes on with the import of the same files, as a user would repeat the command, and ends
it by SIGKILL at a random moment; where an import had finished, the next trial begins a new store.
After every kill each committed row must be the one that was written, nothing committed may be gone,
and in the end the store must equal that of an import that nobody disturbed. Ends with exit code 1
if not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import h5py
import numpy as np

from featurestore.imports import READERS, EmbeddingConfig, Imported, import_embeddings, importing
from featurestore.store import FeatureStore
from featurestore.store.maintenance import gc, verify

SLIDES, TILES, WIDTH = 120, 40, 32
SHARD_BYTES = 8 * TILES * WIDTH * 4
"""A shard every few slides, so that there is much to lose."""


def write_slides(folder: Path, seed: int = 0) -> None:
    """Writes tile features of slides as TRIDENT does."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(SLIDES):
        with h5py.File(folder / f"slide-{k:03d}.h5", "w") as file:
            file["features"] = rng.normal(size=(TILES, WIDTH)).astype(np.float32)
            file["coords"] = np.zeros((TILES, 2), dtype=np.int64)


def run_import(root: Path, store: Path) -> Imported:
    """One import, as the command does it."""
    importing.COMMIT_BYTES = SHARD_BYTES
    config = EmbeddingConfig(name="uni", path="slides/*.h5", trained_on="none")
    return import_embeddings(config, FeatureStore(store), root, READERS)


def rows_of(store: Path) -> dict[str, bytes]:
    """Bytes of every committed row by id; a row whose bytes are not its digest is an error."""
    found: dict[str, bytes] = {}
    opened = FeatureStore(store)
    if not (store / "encoders").is_dir():
        return found
    for identity in opened.encoders():
        named = [(name, key) for _, key, _, name in opened.named_rows(identity)]
        rows = opened.read(identity, [key for _, key in named])
        for (name, key), row in zip(named, rows, strict=True):
            if hashlib.sha256(row.tobytes()).hexdigest() != key:
                raise AssertionError(f"{name} is not what was written")
            found[name] = row.tobytes()
    return found


def killed(root: Path, store: Path, seconds: float) -> bool:
    """Starts an import and kills it after a while; whether it was still at work."""
    child = os.fork()
    if not child:
        code = 1
        try:
            run_import(root, store)
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("an import failed that nobody had killed")
    return os.WIFSIGNALED(status)


def torture(root: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Kills imports until `kills` were hit at work; counts what was seen.

    Raises:
        AssertionError: A committed row was lost or is another one.
    """
    rng = random.Random(seed)
    write_slides(root / "slides")
    began = time.monotonic()
    expected = run_import(root, root / "whole").rows
    whole = rows_of(root / "whole")
    usual = time.monotonic() - began
    seen: Counter[str] = Counter()
    store, committed = root / "store", 0
    while seen["killed"] < kills:
        hit = killed(root, store, rng.uniform(0, usual))
        rows = rows_of(store)
        if any(rows[name] != whole[name] for name in rows):
            raise AssertionError("a row differs from that of an undisturbed import")
        if len(rows) < committed:
            raise AssertionError(f"{committed - len(rows)} committed rows are gone")
        seen["killed"] += hit
        seen["killed between two commits"] += hit and 0 < len(rows) < SLIDES
        committed = len(rows)
        if not hit or rng.random() < 0.1:  # finish, compare, and begin a new store
            finished = run_import(root, store)
            if finished.rows != expected or rows_of(store) != whole:
                raise AssertionError("the finished import is not that of an undisturbed one")
            gc(FeatureStore(store))
            if verify(FeatureStore(store)).damaged or list(store.rglob("*.part")):
                raise AssertionError("the store is not clean after gc")
            shutil.rmtree(store)
            seen["finished"] += 1
            committed = 0
    return seen


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            seen = torture(Path(folder), options.kills, options.seed)
        except AssertionError as error:
            click.echo(f"FAILED: {error}")
            return 1
    for name, count in seen.items():
        click.echo(f"{count:>6}  {name}")
    click.echo("no committed row was lost or changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
