"""`marina`: the command line, and experiments that log from a training loop. It speaks HTTP with the metadata API.

with marina.experiment("net", parameters={"lr": 0.1}) as run:
    run.log(step, loss=0.5)
"""

from marina.run import Run, experiment

__all__ = ["Run", "experiment"]
