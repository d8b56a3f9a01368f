"""`marina pack`: from a model file and an example to a proven archive. Needs `marina[pack]`."""
