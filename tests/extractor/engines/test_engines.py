"""One suite that every engine passes, in every type of this CPU, against PyTorch's float32."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from PIL import Image

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig, EngineName, ExtractConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.engines import ENGINES, lacking
from extractor.extract import ExtractionReport, extract
from extractor.images import decode
from extractor.stages import forward_threads, in_order
from featurestore.errors import ConfigError
from featurestore.progress import SILENT, Progress
from featurestore.store import FeatureStore

NETWORKS = {"test_resnet": 64, "test_efficientnet": 64, "test_vit": 160}
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.999}
IN_COMPANY = 0.0
"""Greatest change of an embedding, relative to its largest number, by what stands beside it."""

installed = [engine for engine in ENGINES.values() if not lacking(engine)]
KINDS = [(e.name, str(t).removeprefix("torch.")) for e in installed for t in e.cpu_types()]
every_kind = pytest.mark.parametrize(("engine", "precision"), KINDS)
engines_beside_torch = pytest.mark.parametrize("engine", [n for n in ENGINES if n != "torch"])


@functools.cache
def backbone(network: str) -> Backbone:
    config = BackboneConfig(name=network, weights="random", image_size=NETWORKS[network])
    return load_backbone(config, 0, Path())


def made(network: str, engine: str, precision: str) -> Encoder:
    return Encoder(backbone(network), plan_compute("cpu", 16, precision, engine))  # type: ignore[arg-type]


encoder = functools.cache(made)


@functools.cache
def squares(network: str) -> list[np.ndarray]:
    """Photographs, cut differently and decoded as an extraction does."""
    geometry = backbone(network).preprocessing.geometry
    found = []
    for photograph in sklearn.datasets.load_sample_images().images:
        for k in range(6):
            data = io.BytesIO()
            Image.fromarray(photograph[40 * k : 40 * k + 200, 60 * k :]).save(data, "JPEG")
            found.append(decode(data.getvalue(), [geometry], 10**6)[geometry])
    return found


def test_what_may_be_asked_for_is_what_there_is() -> None:
    assert get_args(EngineName) == ("auto", *ENGINES)


def require(engine: str) -> None:
    absent = lacking(ENGINES[engine])
    if absent:
        pytest.skip(f"{', '.join(absent)} is not installed")


@every_kind
@pytest.mark.parametrize("network", NETWORKS)
def test_it_agrees_with_float32_of_torch(network: str, engine: str, precision: str) -> None:
    ours = encoder(network, engine, precision).embed(squares(network)).astype(float)
    expected = encoder(network, "torch", "float32").embed(squares(network)).astype(float)
    assert ours.shape == expected.shape
    cosine = (ours * expected).sum(1) / np.linalg.norm(ours, axis=1)
    cosine /= np.linalg.norm(expected, axis=1)
    assert cosine.min() >= LEAST_COSINE[precision]
    # Directions alone would not show a wrong scale, nor equal rows.
    assert np.abs(np.linalg.norm(ours, axis=1) / np.linalg.norm(expected, axis=1) - 1).max() < 0.02
    assert len(np.unique(ours, axis=0)) == len(ours)


@every_kind
@pytest.mark.parametrize("network", NETWORKS)
def test_company_and_padding_change_no_more_than_is_stated(
    network: str, engine: str, precision: str
) -> None:
    one = encoder(network, engine, precision)
    together = one.embed(squares(network))
    for k in (0, 5, 11):
        alone = one.embed([squares(network)[k]])[0]
        change = np.abs(alone - together[k]).max() / np.abs(together[k]).max()
        assert change <= IN_COMPANY


@every_kind
def test_made_ready_twice_or_in_threads_it_gives_the_same_bytes(
    engine: str, precision: str
) -> None:
    network = "test_efficientnet"
    pictures = squares(network)
    expected = encoder(network, engine, precision).embed(pictures).tobytes()
    again = made(network, engine, precision)
    parts = [pictures[k : k + 1] for k in range(len(pictures))]
    for n in (1, 3):
        with forward_threads(n) as pool:
            found = np.concatenate(list(in_order(pool, again.embed, parts, n)))
        assert found.tobytes() == expected


@every_kind
def test_it_computes_in_as_many_threads_as_planned(engine: str, precision: str) -> None:
    plan = plan_compute("cpu", 16, precision, engine).shared(10**6)  # type: ignore[arg-type]
    assert plan.threads == 1
    one = Encoder(backbone("test_resnet"), plan)
    one.embed(squares("test_resnet"))
    before, clock = os.times(), os.times().elapsed
    for _ in range(5):
        one.embed(squares("test_resnet"))
    after = os.times()
    busy = after.user + after.system - before.user - before.system
    assert busy <= 1.2 * (after.elapsed - clock) + 0.05


class Stop:
    """Ends a run after so many images, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, n: int = 1, detail: str = "") -> None:
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt

    def finish(self, summary: str = "") -> None:
        pass


@every_kind
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    engine: str, precision: str, tmp_path: Path, make_pictures: Callable[[int], pd.DataFrame]
) -> None:
    images = make_pictures(21)
    small = BackboneConfig(name="test_resnet", weights="random", image_size=64)
    settings = {"device": "cpu", "engine": engine, "precision": precision}
    config = ExtractConfig.model_validate({"backbones": (small,)} | settings)

    def run(root: Path, progress: Progress = SILENT) -> ExtractionReport:
        return extract(images, FeatureStore(root), config, 0, Path("/"), progress)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", Stop(10))
    rest = run(tmp_path / "parts")
    assert (rest.reused, rest.embedded) == (16, 5)
    assert rest.encoders == whole.encoders
    known = sorted(images["sha256"])
    for identity in whole.encoders.values():
        one, other = (
            FeatureStore(tmp_path / name).read(identity, known) for name in ("whole", "parts")
        )
        assert one.tobytes() == other.tobytes()


def test_each_engine_and_type_is_an_identity_and_torch_keeps_its_own() -> None:
    found = {kind: encoder("test_resnet", *kind).identity for kind in KINDS}
    assert len({identity.digest for identity in found.values()}) == len(KINDS)
    plain = Encoder(backbone("test_resnet"), plan_compute("cpu")).identity
    assert plain == found["torch", "float32"]
    assert plain.dtype == "float32"
    for (engine, precision), identity in found.items():
        if engine != "torch":
            assert identity.dtype == f"{precision}, {engine}"


@engines_beside_torch
def test_a_missing_extra_is_one_line(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"pip install 'melafuse\[{engine}\]', or set") as caught:
        plan_compute("cpu", 16, "auto", engine)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@engines_beside_torch
def test_on_a_card_it_is_refused(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require(engine)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"computes on a CPU, and this is cuda"):
        plan_compute("cuda", 16, "float32", engine)  # type: ignore[arg-type]


def test_onnx_has_no_bfloat16() -> None:
    require("onnx")
    with pytest.raises(ConfigError, match=r"precision bfloat16: onnx on this CPU .* in float32"):
        plan_compute("cpu", 16, "bfloat16", "onnx")


@engines_beside_torch
def test_a_network_that_cannot_be_exported_is_one_line(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(engine)

    def odd(self: object, x: Sequence[float]) -> None:
        raise RuntimeError("an operator\nwithout a name")

    monkeypatch.setattr(type(backbone("test_resnet").module), "forward_head", odd)
    with pytest.raises(ConfigError, match=r"cannot compute test_resnet: .*engine to torch") as e:
        made("test_resnet", engine, "float32").load()
    assert "\n" not in str(e.value)
