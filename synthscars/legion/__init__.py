"""LEGION at reference size: finds, outlines and explains artifacts (arXiv 2503.15264, section 4)."""
