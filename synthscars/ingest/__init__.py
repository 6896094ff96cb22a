"""Generator outputs into the workspace: scanning, metadata, duplicates."""
