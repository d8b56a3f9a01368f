"""The code of the starter experiments, frozen into their archives."""
