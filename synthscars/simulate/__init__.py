"""Generator outputs with known artifacts, drawn for demos, tests and benchmarks."""
