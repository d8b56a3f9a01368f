"""`make doctor`: what keeps a release of Marina from working on a cluster, and what to do about it."""
