"""A bundle behind HTTP on this machine: a page, and an API beside it (extra `serve`)."""
