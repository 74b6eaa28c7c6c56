"""A study from its configuration to its report: one method a command."""

from fusion.study.study import FinalFeatures, Study

__all__ = ["FinalFeatures", "Study"]
