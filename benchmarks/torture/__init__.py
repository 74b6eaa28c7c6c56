"""Damages files, fails disks, feeds hostile inputs and spoilt bundles, and counts what happens."""
