"""Bundles whose digests are right and whose contents are not are refused when they are loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from bundle_example import Fitted

from featurestore.errors import ConfigError, DataError, MelafuseError
from fusion.bundle.archive import (
    RECORD_FILE,
    Bundle,
    _canonical,
    _write_folder,
    place_for,
    read_bundle,
    write_bundle,
)
from fusion.predict import Predictor

pytestmark = pytest.mark.slow

Contents = dict[str, bytes]
Change = Callable[[dict[str, Any], Contents], None]


@pytest.fixture(scope="module")
def sound(tiny: Fitted) -> Bundle:
    """The tiny bundle."""
    return read_bundle(tiny.bundle)


def arrays(name: str, change: Callable[[dict[str, np.ndarray]], None]) -> Change:
    def spoil(_: dict[str, Any], contents: Contents) -> None:
        own = {k: v.copy() for k, v in safetensors.numpy.load(contents[name]).items()}
        change(own)
        contents[name] = safetensors.numpy.save(
            {k: np.ascontiguousarray(v) for k, v in own.items()}
        )

    return spoil


def _not_finite(own: dict[str, np.ndarray]) -> None:
    own["0.head.output.weight"].flat[0] = np.nan


def _infinite_mean(own: dict[str, np.ndarray]) -> None:
    name = next(k for k in own if k.endswith(".mean"))
    own[name].flat[0] = np.inf


def _other_shape(own: dict[str, np.ndarray]) -> None:
    name = next(k for k in own if k.endswith(".mean"))
    own[name] = own[name][:-1]


def _short_quantiles(own: dict[str, np.ndarray]) -> None:
    own["quantiles"] = own["quantiles"][:5]


def _unknown_encoder(record: dict[str, Any], _: Contents) -> None:
    record["encoders"][0]["architecture"] = "resnet19"


def _giant_encoder(record: dict[str, Any], _: Contents) -> None:
    record["encoders"][0]["architecture"] = "vit_giant_patch14_224"


def _large_picture(record: dict[str, Any], _: Contents) -> None:
    record["encoders"][0]["image_size"] = 100_000


def _absurd_layers(_: dict[str, Any], contents: Contents) -> None:
    told = json.loads(contents["models/0.json"])
    told["head"]["hidden"] = [100_000, 100_000]
    contents["models/0.json"] = json.dumps(told).encode()


def _no_such_column(record: dict[str, Any], _: Contents) -> None:
    record["inputs"] = record["inputs"][:1]


def _not_json(_: dict[str, Any], contents: Contents) -> None:
    contents["models/0.json"] = contents["models/0.json"].replace(b"0.", b"NaN, 0.", 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (arrays("models/0.safetensors", _not_finite), "values are not finite in 0.head.output"),
        (arrays("models/0.safetensors", _infinite_mean), "values are not finite in .*mean"),
        (arrays("models/0.safetensors", _other_shape), "cannot score a made-up patient"),
        (arrays("novelty/resnet18.safetensors", _short_quantiles), "cannot score a made-up"),
        (_unknown_encoder, "resnet19"),
        (_giant_encoder, "has not the weights of vit_giant"),
        (_large_picture, "image_size = 100000"),
        (_absurd_layers, "of another head"),
        (_no_such_column, "cannot score a made-up patient|misfit|cannot be used"),
        (_not_json, "cannot be used"),
    ],
)
def test_what_cannot_score_is_refused_at_load(
    sound: Bundle, tmp_path: Path, change: Change, said: str
) -> None:
    record, contents = sound.record.model_dump(mode="json"), dict(sound.contents)
    change(record, contents)

    def load() -> Predictor:
        record["files"] = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
        }
        text, _ = _canonical(record)
        _write_folder({RECORD_FILE: text, **contents}, tmp_path / "b")
        return Predictor(read_bundle(tmp_path / "b"), "cpu")

    with pytest.raises(MelafuseError, match=said) as error:
        load()
    assert "\n" not in str(error.value)


def test_a_sound_bundle_written_again_scores_the_same(
    sound: Bundle, tmp_path: Path, tiny: Fitted
) -> None:
    write_bundle(sound.record, sound.contents, tmp_path / "b.zip")
    values = tiny.values_of(tiny.study.cohort.patients["patient_id"].iloc[0])
    both = [Predictor(b, "cpu") for b in (sound, read_bundle(tmp_path / "b.zip"))]
    first, second = (p.predict([p.case(values)])[0].score.probability for p in both)
    assert first == second


def test_two_fits_do_not_end_in_one_place(tmp_path: Path) -> None:
    out = tmp_path / "new" / "bundle.zip"
    busy = pytest.raises(ConfigError, match="another process writes a bundle to")
    with place_for(out), busy, place_for(out):
        pass
    out.write_bytes(b"")
    with pytest.raises(ConfigError, match="exists"), place_for(out):
        pass
    with pytest.raises(DataError, match="cannot write the bundle"), place_for(out / "in" / "it"):
        pass
    assert [p.name for p in out.parent.iterdir()] == ["bundle.zip"]
