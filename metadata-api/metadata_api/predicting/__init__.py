"""One image, many deployments: their answers side by side, recorded."""
