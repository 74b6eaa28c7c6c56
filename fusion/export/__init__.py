"""What a study exports: its tables, and how the `export` command is asked."""
