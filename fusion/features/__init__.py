"""From cohort and store to what models are fitted on: feature tables and their encoding."""

from fusion.features.arrays import Arrays, below
from fusion.features.bags import RowBags
from fusion.features.image_files import ImageFiles, file_locator
from fusion.features.reduction import STANDARD_LIMIT, PrincipalComponents, Standardizer
from fusion.features.table import NO_VIEWS, FeatureReader, FeatureTable, ViewPlan
from fusion.features.tabular import TabularEncoder

__all__ = [
    "NO_VIEWS",
    "STANDARD_LIMIT",
    "Arrays",
    "FeatureReader",
    "FeatureTable",
    "ImageFiles",
    "PrincipalComponents",
    "RowBags",
    "Standardizer",
    "TabularEncoder",
    "ViewPlan",
    "below",
    "file_locator",
]
