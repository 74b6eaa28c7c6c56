"""The joint end-to-end network as a model of an ablation arm: pictures and columns in.

Same folds, same inner split and same predictions table as the heads on cached embeddings, so that
what training everything together adds can be read from two lines of one table.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from extractor.distributed import joined
from extractor.finetune import ImageCache, augmenter, source_size
from extractor.images import Geometry
from featurestore.errors import ConfigError
from fusion import metrics
from fusion.arms import Arm
from fusion.features import FeatureTable, Standardizer
from fusion.features.image_files import ImageFiles
from fusion.ledger import witness
from fusion.metrics import sigmoid
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.head_inputs import HeadInputs
from fusion.models.heads import HEADS
from fusion.models.inner import held_out_part
from fusion.models.joint_batches import JointData
from fusion.models.joint_network import Branch, JointNetwork
from fusion.models.joint_training import predict_joint, train_joint
from fusion.models.settings import Settings
from fusion.models.training import seeded, train_head


class JointModel(BaseModel):
    """Backbones, encoding of patient columns and fusion head under one loss.

    Attributes:
        inner_: Predictions on the patients that selected the epoch.
        choices_: Start, parameters, seed, best epoch (0: the start) and numbers of patients.
        history_: One record an epoch, see `training.TrainingResult`.
    """

    def __init__(self, arm: Arm, settings: Settings) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs; at least one must be of images.
            settings: Those of the head, the joint training and the metadata.

        Raises:
            ConfigError: No modality of the arm is of images, or two share a backbone.
        """
        super().__init__(arm, settings)
        self.workers = joined()
        self._names = tuple(itertools.chain.from_iterable(m.embeddings for m in arm.modalities))
        if not self._names:
            raise ConfigError(f"arm {arm.name!r}: joint needs a modality of images")
        if len(set(self._names)) < len(self._names):
            raise ConfigError(f"arm {arm.name!r}: a backbone stands in two modalities")

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        table = rows.pictures()  # it varies pictures itself
        config, joint = self.settings.head, self.settings.joint
        training, validation = held_out_part(table, config.validation_fraction, seed)
        files = _files(table)
        self._device = self.workers.device(joint.device)
        self._inputs = HeadInputs.fit(self.arm.modalities, self.settings.metadata, training)
        data = self._inputs.transform(training)
        dims = {name: values.shape[1] for name, values in data.inputs.items()}
        with seeded(seed, torch.device("cpu")):
            head = HEADS["concat"](dims, config)
        if joint.start == "stages":
            train_head(head, data, self._inputs.transform(validation), config, seed)
        backbones = {name: files.load(name) for name in self._names}
        self._geometries = {n: b.preprocessing.geometry for n, b in backbones.items()}
        branches = {
            name: Branch(backbone, _standardizer(training, name))
            for name, backbone in backbones.items()
        }
        images = {m.name: m.embeddings for m in self.arm.modalities if m.embeddings}
        self._network = JointNetwork(branches, head, images).to(self._device)
        self._cache = ImageCache(files.data_root, files.scratch)
        larger = {
            name: Geometry(source_size(joint.augment, g.size), g.resampling)
            for name, g in self._geometries.items()
        }
        witness("joint network", "fitted on", training.patient_ids)
        witness("early stopping", "selected on", validation.patient_ids)
        scored = self._data(validation, self._geometries)
        result = train_joint(
            self._network,
            self._data(training, larger),
            scored,
            {
                name: augmenter(joint.augment, g.size, files.data_root)
                for name, g in self._geometries.items()
            },
            joint,
            seed,
            self._device,
            self.workers,
        )
        inner = InnerPredictions.of_rows(
            validation.patient_ids, validation.y, sigmoid(self._logits(scored))
        )
        choices = {
            "start": joint.start,
            "parameters": sum(p.numel() for p in self._network.parameters()),
            "seed": seed,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "validation_auroc": metrics.auroc(inner.y, inner.probability).item(),
            "training_patients": len(np.unique(training.patient_ids.astype(str))),
            "validation_patients": len(np.unique(validation.patient_ids.astype(str))),
            "columns_without_information": self._inputs.dropped,
        }
        if result.notice:
            choices["memory"] = result.notice
        return FitRecord(inner, choices, result.history)

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        return sigmoid(self._logits(self._data(rows, self._geometries)))

    def _logits(self, data: JointData) -> np.ndarray:
        size = self.settings.joint.batch_size
        return predict_joint(self._network, data, size, self._device, self.workers)

    def _data(self, table: FeatureTable, geometries: dict[str, Geometry]) -> JointData:
        files = _files(table)
        rows = np.flatnonzero(files.sha256s.astype(str) != "")
        samples = files.samples(rows)
        squares = {name: self._cache.squares(samples, g) for name, g in geometries.items()}
        return JointData(squares, rows, self._inputs.transform(table))


def _files(table: FeatureTable) -> ImageFiles:
    if table.files is None:
        raise ConfigError("the joint network needs image files, and the feature table has none")
    return table.files


def _standardizer(table: FeatureTable, name: str) -> Standardizer:
    witness("scaling", "fitted on", table.patient_ids)
    return Standardizer().fit(table.embeddings[name], table.row_weights())
