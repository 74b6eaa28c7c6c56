"""From cohort and store to what models are fitted on: feature tables and their encoding."""
