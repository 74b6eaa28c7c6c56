"""Before a study: a look at the machine, and a first configuration."""
