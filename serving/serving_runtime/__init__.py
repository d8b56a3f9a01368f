"""Everything between a v2 inference request and a model in a .mar file."""

__version__ = "0.1.0"
