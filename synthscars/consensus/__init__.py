"""From several raters to one answer: matching and merging their regions."""
