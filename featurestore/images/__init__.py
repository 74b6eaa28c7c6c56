"""Image files: found, opened safely, inspected once, and compared."""
