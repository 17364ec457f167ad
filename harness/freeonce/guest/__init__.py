"""A running guest: made by a boot or as a clone, told what to do, and read by the host."""

from freeonce.guest.clones import clone, take_template, template_of
from freeonce.guest.guest import COMMAND_SECONDS, CONTROL, Guest
from freeonce.guest.making import BOOT_SECONDS, boot

__all__ = (
    "BOOT_SECONDS",
    "COMMAND_SECONDS",
    "CONTROL",
    "Guest",
    "boot",
    "clone",
    "take_template",
    "template_of",
)
