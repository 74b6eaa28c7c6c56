"""From the predictions table to every number of a report, each computed once."""
