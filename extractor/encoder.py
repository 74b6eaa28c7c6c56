"""Encoders: backbones made ready for inference on a device, and what extraction asks of them."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from extractor import memory
from extractor.backbones import Backbone
from extractor.device import AUTO, ComputePlan
from extractor.engines import ENGINES, TORCH, Forward, Task
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


def identity_of(
    backbone: Backbone,
    plan: ComputePlan,
    training_patients: tuple[str, ...] = (),
    fold: str = "",
) -> EncoderIdentity:
    """What embeddings of a backbone are stored under, computed as planned."""
    return EncoderIdentity(
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
        self.identity = identity_of(backbone, plan, training_patients, fold)
        self._device = plan.device
        self._transfers = transfers_of(plan.device)
        self._pass_size = plan.pass_size(self.geometry.size)
        self._engine = ENGINES[TORCH if plan.engine == AUTO else plan.engine]
        self._task = Task(
            name=self.name,
            module=backbone.module.eval(),
            mean=backbone.preprocessing.mean,
            std=backbone.preprocessing.std,
            size=self.geometry.size,
            rows=self._pass_size,
            device=plan.device,
            dtype=plan.dtype,
            threads=plan.threads,
        )
        self._loading = threading.Lock()
        self._forward: Forward | None = None

    @property
    def pass_size(self) -> int:
        """Images a forward pass; it falls where a device runs out of memory."""
        if self._pass_size is None:
            limit = int(memory.SHARE * memory.free_memory(self._device))
            self._pass_size = memory.largest_batch(self._memory_of_pass, limit)
        return self._pass_size

    def load(self) -> Forward:
        """Makes the network ready, once; otherwise the first pass does.

        A run that finds everything in its store thus makes none ready.

        Raises:
            ConfigError: The engine cannot compute this network.
        """
        with self._loading:
            if self._forward is None:
                self._forward = self._engine.load(self._task)
            return self._forward

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
        forward = self.load()
        with torch.inference_mode():
            embeddings = self._pass_by_pass(forward, batch)
            while embeddings is None:
                self._take_less()
                embeddings = self._pass_by_pass(forward, batch)
            return self._transfers.download(embeddings)

    def _pass_by_pass(self, forward: Forward, batch: Batch) -> Tensor | None:
        """Embeddings on the device; None where its memory did not suffice."""
        size, n = self.pass_size, len(batch)
        try:
            pixels = batch.on(self._transfers)
            parts = [forward(_padded(pixels[i : i + size], size)) for i in range(0, n, size)]
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
        forward = self.load()

        def run() -> None:
            with torch.inference_mode():
                shape = (n, size, size, 3)
                forward(torch.zeros(shape, dtype=torch.uint8, device=self._device))

        return memory.peak_of_run(self._device, run)


def _padded(pixels: Tensor, rows: int) -> Tensor:
    """A pass (rows, size, size, 3), with zeros after the last picture."""
    if len(pixels) == rows:
        return pixels
    whole = pixels.new_zeros((rows, *pixels.shape[1:]))
    whole[: len(pixels)] = pixels
    return whole
