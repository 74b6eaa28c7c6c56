"""The moving average of weights."""

from __future__ import annotations

from timm.utils import ModelEmaV3

from extractor.finetune.classifier import Classifier


class WeightAverage:
    """Exponential moving average of parameters and buffers (timm's `ModelEmaV3`).

    Buffers are averaged too: the statistics of batch normalisation belong to the weights they were
    taken with. The decay of the k-th update is `1 - k^(-2/3)` up to its limit: the first takes the
    weights as they are, so the average of a short training is not held at the start weights.

    Attributes:
        module: The averaged model, in evaluation mode.
        steps: Updates so far.
    """

    module: Classifier

    def __init__(self, model: Classifier, decay: float) -> None:
        self._average = ModelEmaV3(model, decay=decay, use_warmup=True)
        self.module = self._average.module
        self.steps = 0

    def update(self, model: Classifier) -> None:
        """Takes in the weights after an optimiser step."""
        self.steps += 1
        self._average.update(model, step=self.steps)
