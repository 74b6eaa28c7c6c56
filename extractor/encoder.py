"""Encoders: backbones made ready for inference on a device, and what extraction asks of them."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from extractor import memory
from extractor.backbones import Backbone
from extractor.batchnorm import fold_batchnorm
from extractor.device import ComputePlan
from extractor.images import Geometry
from extractor.transfers import Batch, Fetch, transfers_of
from featurestore.errors import ConfigError
from featurestore.store import EncoderIdentity


class Embedder(Protocol):
    """What an extraction asks of whatever makes embeddings.

    Attributes:
        name: Unique among those that work together.
        identity: What its embeddings are stored under.
        view: Number of the view that it embeds; 0 is the picture as it is.
        geometry: Squares that it is given.
        prepared_alike: Embedders in which this is equal prepare the same of a square.
    """

    name: str
    identity: EncoderIdentity
    view: int
    geometry: Geometry
    prepared_alike: Hashable

    @property
    def pass_size(self) -> int:
        """Images a forward pass; it falls where a device runs out of memory."""

    @property
    def notice(self) -> str:
        """What became of the pass size, for people; empty if nothing."""

    def prepare(self, square: np.ndarray, sha256: str) -> np.ndarray:
        """Makes of a decoded square what `begin` takes, given the digest of its file."""

    def begin(self, batch: Batch) -> Fetch:
        """Begins to embed prepared squares; the fetch gives (n, dimension) of float32."""


class Encoder:
    """A backbone made ready for inference on one device, with the identity of what it yields.

    Attributes:
        name: Name in this process, unique among encoders that work together; by default that of
            the backbone.
        identity: What its embeddings are stored under.
        geometry: Squares that it takes.
        prepared_alike: Its geometry: squares are taken as they are.
        notice: What became of the pass size, for people; empty if nothing.
        view: 0, the picture as it is.
    """

    view = 0

    def __init__(
        self,
        backbone: Backbone,
        plan: ComputePlan,
        training_patients: tuple[str, ...] = (),
        fold: str = "",
        name: str | None = None,
    ) -> None:
        self.name = name or backbone.name
        self.geometry = backbone.preprocessing.geometry
        self.prepared_alike: Hashable = self.geometry
        self.notice = ""
        self.identity = EncoderIdentity(
            backbone=backbone.name,
            weights=backbone.weights.label,
            weights_sha256=backbone.weights.sha256,
            preprocessing=backbone.preprocessing.to_json(),
            pooling=backbone.pooling,
            dimension=backbone.dimension,
            dtype=plan.dtype_name,
            training_patients=training_patients,
            fold=fold,
        )
        size = self.geometry.size
        example = torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(0))
        module = fold_batchnorm(backbone.module.eval(), example)
        # Measured to gain on CPU, customary on CUDA; nothing is known of MPS, so left alone there.
        layout = torch.contiguous_format if plan.device.type == "mps" else torch.channels_last
        self._layout = layout
        self._module: Any = module.to(plan.device).to(memory_format=layout)
        self._device = plan.device
        self._dtype = plan.dtype
        self._transfers = transfers_of(plan.device)
        self._pass_size = plan.pass_size(size)
        self._mean = _channels(backbone.preprocessing.mean).to(plan.device)
        self._std = _channels(backbone.preprocessing.std).to(plan.device)

    @property
    def pass_size(self) -> int:
        """Images a forward pass; it falls where a device runs out of memory."""
        if self._pass_size is None:
            limit = int(memory.SHARE * memory.free_memory(self._device))
            self._pass_size = memory.largest_batch(self._memory_of_pass, limit)
        return self._pass_size

    def prepare(self, square: np.ndarray, sha256: str) -> np.ndarray:
        """Returns the square as it is."""
        return square

    def embed(self, squares: Sequence[np.ndarray]) -> np.ndarray:
        """Embeds squares (size, size, 3) of uint8; see `begin`.

        Returns:
            Array (n, dimension) of float32.
        """
        return self.begin(Batch(squares))()

    def begin(self, batch: Batch) -> Fetch:
        """Begins to embed; on CUDA the device computes and the host goes on.

        A pass is always padded to `pass_size`. On a CPU, in a thread whose torch uses one thread
        (`extractor.extract` sees to it), an embedding keeps its bits in any company. Where the
        device runs out of memory, passes are halved from then on, and nothing is lost.

        Returns:
            Function that waits for the embeddings, (n, dimension) of float32.

        Raises:
            ConfigError: The device has no memory for a single image.
        """
        with torch.inference_mode():
            embeddings = self._pass_by_pass(batch)
            while embeddings is None:
                self._take_less()
                embeddings = self._pass_by_pass(batch)
            return self._transfers.download(embeddings)

    def _pass_by_pass(self, batch: Batch) -> Tensor | None:
        """Embeddings on the device; None where its memory did not suffice."""
        size, n = self.pass_size, len(batch)
        try:
            pixels = batch.on(self._transfers)
            parts = [self._forward(_padded(pixels[i : i + size], size)) for i in range(0, n, size)]
            return (parts[0] if len(parts) == 1 else torch.cat(parts))[:n]
        except RuntimeError as error:
            if not memory.is_out_of_memory(error):
                raise
            return None

    def _take_less(self) -> None:
        memory.release_memory()
        before = self.pass_size
        if before == 1:
            raise ConfigError(
                f"{self.name}: {self._device} has no memory for a single image: end what else uses "
                f"it, or set extract.device to cpu"
            )
        self._pass_size = before // 2
        less = f"{self.name} takes {self._pass_size} images a pass"
        self.notice = f"{self._device} ran out of memory: {less}"

    def _memory_of_pass(self, n: int) -> int:
        """Bytes that a pass of n images takes."""
        size = self.geometry.size

        def run() -> None:
            with torch.inference_mode():
                shape = (n, size, size, 3)
                self._forward(torch.zeros(shape, dtype=torch.uint8, device=self._device))

        return memory.peak_of_run(self._device, run)

    def _forward(self, batch: Tensor) -> Tensor:
        """One pass: uint8 (n, size, size, 3) on the device to float32 (n, dimension)."""
        pixels = batch.permute(0, 3, 1, 2)
        inputs = (pixels.float() / 255.0 - self._mean) / self._std
        inputs = inputs.contiguous(memory_format=self._layout)
        with self._reduced_precision():
            features = self._module.forward_features(inputs)
        # Pooled in full precision, so that a mean over the map is not rounded to 8 bits.
        return self._module.forward_head(features.float()).float()

    @contextlib.contextmanager
    def _reduced_precision(self) -> Iterator[None]:
        if self._dtype is not torch.float32:
            with torch.autocast(self._device.type, dtype=self._dtype):
                yield
        elif self._device.type == "cuda":  # else convolutions would round to ten bits (TF32)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        else:
            yield


def _padded(pixels: Tensor, rows: int) -> Tensor:
    """A pass (rows, size, size, 3), with zeros after the last picture."""
    if len(pixels) == rows:
        return pixels
    whole = pixels.new_zeros((rows, *pixels.shape[1:]))
    whole[: len(pixels)] = pixels
    return whole


def _channels(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
