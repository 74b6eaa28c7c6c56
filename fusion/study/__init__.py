"""A study from its configuration to its report: one method a command."""
