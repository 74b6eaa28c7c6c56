"""Stage 1 that learns: backbones fine-tuned on images and an outcome.

`finetune` trains one encoder and leaves its weights; `augmenter` varies a picture, for training
and for views in the store.
"""

from extractor.finetune.augment import Augmenter, augmenter, source_size
from extractor.finetune.run import Finetuned, finetune, training_digest
from extractor.finetune.samples import ImageCache, TrainingSamples
from extractor.finetune.state import EpochRow
from extractor.finetune.workplace import Workplace

__all__ = [
    "Augmenter",
    "EpochRow",
    "Finetuned",
    "ImageCache",
    "TrainingSamples",
    "Workplace",
    "augmenter",
    "finetune",
    "source_size",
    "training_digest",
]
