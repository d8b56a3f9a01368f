"""Become a command that dies with the launcher: `python -I -S exec_child.py PARENT SIGNAL UID GID COMMAND...`.

`process.py` starts every service through this file. It is a program of its own, because what it does must
happen between fork and exec, where Python code of a process with threads may hang. It imports little,
so it costs about 20 ms.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
KEEP = -1


def main() -> None:
    """Change the user if asked, ask the kernel for the signal at the launcher's death, then exec."""
    parent, death_signal, uid, gid = (int(word) for word in sys.argv[1:5])
    command = sys.argv[5:]
    libc = ctypes.CDLL(None, use_errno=True)
    if uid != KEEP:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which clears the request.
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the launcher has gone before its service started")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} does not start: {error.strerror}")


if __name__ == "__main__":
    main()
