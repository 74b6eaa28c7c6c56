"""Times to an event: estimators, metrics and fits under censoring."""
