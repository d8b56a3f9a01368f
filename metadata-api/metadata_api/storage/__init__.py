"""Content-addressed objects: archives and inputs, in a folder or in a bucket."""
