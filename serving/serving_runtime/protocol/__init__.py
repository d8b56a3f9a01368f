"""The Open Inference Protocol v2 and the frames between front and workers: pure, no I/O, no NumPy."""
