"""What is in a release: counts, distributions, plots."""
