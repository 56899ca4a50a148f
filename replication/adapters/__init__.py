"""How registries of other kinds are spoken to: a table of adapters, each with what its kind can do."""
