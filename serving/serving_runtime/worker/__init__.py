"""What runs in the processes of the models: nothing outside this package does."""
