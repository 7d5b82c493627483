"""The version of the library, at the bottom of it: files that are written and read name it."""

__version__ = "0.1.0"
