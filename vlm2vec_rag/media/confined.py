"""A script that becomes another program, with limits; `conversion.py` runs it, and nothing imports it.

What the program may use is capped, it dies with whoever started it, and where the system allows it has no network.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def main() -> None:
    """`confined.py MEMORY_BYTES FILE_BYTES SECONDS PROGRAM ARGUMENT...`"""
    memory_bytes, file_bytes, seconds = (int(each) for each in sys.argv[1:4])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        # a network of its own has no way out; containers mostly forbid to make one, so this is the second wall
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWNET)
    with contextlib.suppress(ImportError):
        import resource

        caps = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_CPU: seconds}
        if sys.platform == "linux":
            caps[resource.RLIMIT_AS] = memory_bytes
        for which, most in caps.items():
            _, hard = resource.getrlimit(which)
            lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (lowest, lowest))
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606  no shell


if __name__ == "__main__":
    main()
