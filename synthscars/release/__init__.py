"""Versioned releases: Parquet, card, manifest, splits."""
