"""From features to predictions, evidence and reports."""
