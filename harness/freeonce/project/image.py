"""The manifest that images/ wrote: all that the harness knows of how a guest is made."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeonce.errors import HostError, UsageError
from freeonce.given import given_text
from freeonce.project import cache

SCHEMA = "freeonce/image/1"
PATH_VARIABLE = "FREEONCE_IMAGE"

OUTER_SCHEMA = "freeonce/outer/1"
OUTER_VARIABLE = "FREEONCE_OUTER"


@dataclass(frozen=True)
class Image:
    """One image. `protocol`: how QEMU boots it, `pvh` or `bzimage`.

    `module`: freeonce.ko, the instrument; `symvers`: what others may call in it; `specimens`:
    specimens.ko, whose code is judged. Both with the debug info that the guest's copies lack.
    `modules`, `headers`, `headers_source`: folders of the kernel's package: its modules, what
    others are built against, and where that was made of, None if in the same folder.
    `families`: what of the kernel has wrappers.
    """

    manifest: Path
    boot: Path
    boot_sha256: str
    protocol: str
    release: str
    initramfs: Path
    module: Path
    module_sha256: str
    symvers: Path
    specimens: Path
    client_key: Path
    host_key: Path
    rust: str
    rustc: str
    modules: Path
    headers: Path
    headers_source: Path | None
    families: Path

    def check_kernel(self) -> None:
        """For who boots it. Raises HostError `no-image` when it is not as the manifest says."""
        try:
            _verify(self.boot, self.boot_sha256)
        except (OSError, ValueError) as error:
            raise _unusable(self.manifest, error) from error


def image_path() -> Path:
    """Where the manifest is: $FREEONCE_IMAGE, or what `freeonce setup` made last."""
    return Path(os.environ.get(PATH_VARIABLE) or cache.builds() / "current" / cache.MANIFEST)


def load_image(manifest: Path, *, kernel: bool = True) -> Image:
    """The image, with every file there and as the manifest says.

    `kernel`: also the kernel that is booted, which is most of it; who has a template boots none.
    Raises HostError `no-image` with what to do when it is missing or not whole.
    """
    try:
        data = json.loads(given_text(manifest))
        if data["schema"] != SCHEMA:
            raise HostError("no-image", f"{manifest}: schema {data['schema']}, not {SCHEMA}")
        folder = manifest.parent
        names = ("initramfs", "module", "symvers", "specimens", "client_key", "host_key")
        for name in (*names, "kernel") if kernel else names:
            _verify(folder / data[name]["path"], data[name]["sha256"])
        if "families" in data:
            _verify(folder / data["families"]["path"], data["families"]["sha256"])
        return Image(
            manifest=manifest,
            boot=folder / data["kernel"]["path"],
            boot_sha256=data["kernel"]["sha256"],
            protocol=data["kernel"]["protocol"],
            release=data["kernel"]["release"],
            initramfs=folder / data["initramfs"]["path"],
            module=folder / data["module"]["path"],
            module_sha256=data["module"]["sha256"],
            symvers=folder / data["symvers"]["path"],
            specimens=folder / data["specimens"]["path"],
            client_key=folder / data["client_key"]["path"],
            host_key=folder / data["host_key"]["path"],
            rust=data["rust"]["version"],
            rustc=data["rust"]["rustc"],
            **_package(folder, data),
        )
    except (UsageError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(manifest, error) from error


def _unusable(manifest: Path, error: Exception) -> HostError:
    return HostError("no-image", f"no usable image at {manifest}: {error}; run 'freeonce setup'")


def _package(folder: Path, data: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What audits need of an image; its files are read, and refused, by them."""
    # An image that was made before has them in the same places.
    package = data.get("package", {"modules": "kernel/modules", "headers": "kernel/headers"})
    return {
        "modules": folder / package["modules"],
        "headers": folder / package["headers"],
        "headers_source": folder / package["source"] if "source" in package else None,
        "families": folder / data.get("families", {}).get("path", "families.json"),
    }


@dataclass(frozen=True)
class OuterImage:
    """What the outer machine of the KVM lane boots: a kernel with KVM, and our init for it."""

    boot: Path
    release: str
    initramfs: Path


def outer_path() -> Path:
    """Where its manifest is: $FREEONCE_OUTER, or what `make test-kvm` built last."""
    return Path(os.environ.get(OUTER_VARIABLE) or cache.builds() / "outer" / "outer.json")


def load_outer(manifest: Path) -> OuterImage:
    """The outer machine's image, as `load_image`. Raises HostError `no-outer-image`."""
    try:
        data = json.loads(given_text(manifest))
        if data["schema"] != OUTER_SCHEMA:
            raise ValueError(f"schema {data['schema']}, not {OUTER_SCHEMA}")
        folder = manifest.parent
        for name in ("kernel", "initramfs"):
            _verify(folder / data[name]["path"], data[name]["sha256"])
        return OuterImage(
            boot=folder / data["kernel"]["path"],
            release=data["kernel"]["release"],
            initramfs=folder / data["initramfs"]["path"],
        )
    except (UsageError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"no usable image of an outer machine at {manifest}: {error}; run 'make test-kvm'"
        raise HostError("no-outer-image", message) from error


def _verify(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{path.name} is not the file that the manifest describes")
