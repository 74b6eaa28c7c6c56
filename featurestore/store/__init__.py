"""The feature store: embeddings by content, and who trained what made them."""

from featurestore.store.bags import BagFiles, write_bag
from featurestore.store.lineage import EncoderIdentity, check_fold, check_unseen
from featurestore.store.quarantine import QuarantineRow
from featurestore.store.store import FeatureStore

__all__ = [
    "BagFiles",
    "EncoderIdentity",
    "FeatureStore",
    "QuarantineRow",
    "check_fold",
    "check_unseen",
    "write_bag",
]
