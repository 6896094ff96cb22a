"""What an annotator sees, as data: the taxonomy, the labelling interface, the guideline."""
