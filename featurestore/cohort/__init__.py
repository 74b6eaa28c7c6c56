"""Who is studied: sources joined by id into a cohort, its folds, and its description."""
