"""Trials with bundles whose digests are right and whose contents are not."""

from __future__ import annotations

import functools
import json
import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from benchmarks.torture.children import Outcome, Silent, in_child
from benchmarks.torture.material import Material
from featurestore.errors import MelafuseError
from fusion.bundle.archive import Bundle, read_bundle, write_bundle
from fusion.bundle.record import BundleRecord
from fusion.predict.predictor import Predictor

SECONDS = 120.0


def trials(material: Material, rng: random.Random) -> Iterator[tuple[str, Outcome]]:
    """Spoils one bundle after another, for ever."""
    sound = read_bundle(material.bundle)
    place = material.root / "spoilt"
    while True:
        shutil.rmtree(place, ignore_errors=True)
        name = rng.choice(["arrays", "records", "bundle.json", "trees", "files"])
        own = random.Random(rng.randrange(1 << 30))
        yield name, in_child(functools.partial(_load, sound, name, own, place), SECONDS)


def _load(sound: Bundle, what: str, rng: random.Random, place: Path) -> None:
    """Loads a spoilt bundle; one that loads must score, or say in a line why it does not."""
    contents = dict(sound.contents)
    record: Any = sound.record.model_dump(mode="json")
    if what == "arrays":
        name = rng.choice([n for n in contents if n.endswith(".safetensors")])
        contents[name] = _spoilt_arrays(contents[name], rng)
    elif what == "records":
        name = rng.choice([n for n in contents if n.endswith(".json")])
        told = json.loads(contents[name])
        _spoil_value(told, rng)
        contents[name] = json.dumps(told).encode()
    elif what == "bundle.json":
        _spoil_value(record, rng)
    elif what == "trees":
        name = rng.choice([n for n in contents if n.endswith(".txt")])
        contents[name] = _spoilt_text(contents[name], rng)
    else:
        name = rng.choice(list(contents))
        other = rng.choice(list(contents))
        contents[name] = contents[other] if rng.random() < 0.7 else b""
    try:
        made = BundleRecord.model_validate(record)
        write_bundle(made, contents, place)
    except ValueError:
        return  # the writer of the record refuses it already
    predictor = Predictor(read_bundle(place), "cpu")
    for values in ({"age": 61}, {c.name: c.typical for c in made.inputs if c.typical}):
        try:
            (found,) = predictor.predict([predictor.case(values)])
        except MelafuseError as error:
            if "\n" in str(error):
                raise RuntimeError(str(error)) from error
            continue
        if not (math.isfinite(found.score.probability) and 0 <= found.score.probability <= 1):
            raise Silent(f"a probability of {found.score.probability}")


def _spoilt_arrays(data: bytes, rng: random.Random) -> bytes:
    arrays = dict(safetensors.numpy.load(data))
    name = rng.choice(list(arrays))
    array = arrays[name].copy()
    what = rng.randrange(5)
    if what == 0 and array.dtype.kind == "f" and array.size:
        array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, -np.inf])
    elif what == 1 and array.dtype.kind == "f":
        array = array * np.array(rng.choice([0.0, -1.0, 1e30]), dtype=array.dtype)
    elif what == 2:
        array = array.reshape(-1)[: rng.randrange(1 + array.size)]
    elif what == 3:
        del arrays[name]
        name = f"other.{name}"
    else:
        array = np.zeros((3, *array.shape), dtype=array.dtype)[: rng.randrange(1, 4)]
    arrays[name] = np.ascontiguousarray(array)
    return safetensors.numpy.save(arrays)


def _spoil_value(record: Any, rng: random.Random) -> None:
    """Replaces one value of a record, wherever it is, by one of another kind or size."""
    place, key = record, None
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = rng.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.05:
            break
        place = place[key]
    if key is not None:
        place[key] = rng.choice(
            [None, -1, 0, 1, 2**31, 2**70, 1e308, -0.5, "", "vit_giant_patch14_224", "resnet18",
             [], {}, [1, 2], "x" * 10_000, True, 100_000]
        )  # fmt: skip


def _spoilt_text(data: bytes, rng: random.Random) -> bytes:
    lines = data.decode().split("\n")
    at = rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines[at] = lines[at].replace("1", rng.choice(["9", "nan", "-1", "1e999", "99999999"]))
    elif what == 2:
        lines = lines[:at]
    else:
        lines.insert(at, lines[rng.randrange(len(lines))])
    return "\n".join(lines).encode()
