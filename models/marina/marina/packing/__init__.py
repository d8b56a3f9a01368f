"""`marina pack`: from a model file and an example to an archive that passed its self-test. Needs `marina[pack]`."""
