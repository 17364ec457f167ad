"""What freeonce runs on at all. Imports nothing that is not everywhere."""

import platform

X86_64 = ("x86_64", "amd64")


def unfit() -> str | None:
    """Why nothing of freeonce can work here; None on Linux on x86-64."""
    system, machine = platform.system(), platform.machine()
    if system == "Linux" and machine.lower() in X86_64:
        return None
    return f"needs x86-64 Linux, and this is {system or 'unknown'} on {machine or 'unknown'}"
