"""Whether a release can be learned from, and is free of leaks and of trivial answers."""
