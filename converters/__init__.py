"""One module per outside format, reader and writer side by side, around the data model in the middle."""

from synthscars.converters.formats import FORMATS, Conversion, Format, convert, detect, read, write

__all__ = ["FORMATS", "Conversion", "Format", "convert", "detect", "read", "write"]
