"""The TorchServe runtime: Java, its configuration, and the connection to it."""
