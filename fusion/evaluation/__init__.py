"""Arms over frozen folds: tasks in, one table of out-of-fold predictions out."""
