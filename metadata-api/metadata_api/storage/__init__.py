"""Content-addressed objects: archives and images, in a folder or in a bucket."""
