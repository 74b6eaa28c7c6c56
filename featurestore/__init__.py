"""Data at rest: cohorts, folds, embeddings, exports. Never needs torch."""
