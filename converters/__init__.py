"""One module per outside format, reader and writer side by side."""
