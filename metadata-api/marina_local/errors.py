"""What can keep the one-machine mode from starting; `__main__` prints each as one line and exits with 1.

LocalError
├── AlreadyRunning   another launcher holds the data folder
├── NotReady         a service does not start or does not answer in time
└── Unusable         the machine lacks something: a port, a package, space on the disk, a user
"""


class LocalError(Exception):
    """A reason that a person can act on, in one line."""


class AlreadyRunning(LocalError):
    """Another launcher holds the data folder."""


class NotReady(LocalError):
    """A service does not start, ends again and again, or does not answer within its deadline."""


class Unusable(LocalError):
    """The machine or the data folder lacks something that Marina needs."""
