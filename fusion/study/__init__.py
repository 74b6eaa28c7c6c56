"""A study from its configuration to its report: one method a command."""

from fusion.study.several import Studies, folders_of
from fusion.study.study import FinalFeatures, Study

__all__ = ["FinalFeatures", "Studies", "Study", "folders_of"]
