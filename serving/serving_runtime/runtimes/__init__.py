"""What starts, calls, watches and ends the processes of the models, from the side of the front."""
