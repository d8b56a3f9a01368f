"""The `.mar` archive and the model spec in it: pure, never runs what it holds."""
