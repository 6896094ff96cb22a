"""How well predictions agree with a release: where, what, why, and whether at all."""
