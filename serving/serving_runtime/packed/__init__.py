"""The code that `marina pack` puts into archives, frozen: it stands alone there, beside the model itself."""
