"""The HTTP side of the v2 front."""
