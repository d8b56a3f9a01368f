"""`marina`, the command line. It speaks HTTP with the metadata API, on one machine and on a cluster alike."""
