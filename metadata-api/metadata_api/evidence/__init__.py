"""What people said of inputs, and what follows from it for the versions that answered them."""
