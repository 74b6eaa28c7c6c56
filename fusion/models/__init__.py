"""Everything that an arm can name, behind one protocol and in one registry."""
