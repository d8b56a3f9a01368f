"""The pages for people: draw, compare, deploy, import; everything they show comes from the metadata API."""
