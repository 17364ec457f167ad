#!/usr/bin/env python3
"""Choose a Rust compiler whose library source is on this machine, and write down the choice.

Usage: rust-toolchain.py DEST      environment: RUSTC names one compiler to use, no other

Exits with 3 and what to install when no compiler fits. DEST is only rewritten when
the choice changed, so that what depends on it is not built again.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (1, 85)
INSTALL = (
    "install one of: 'apt-get install rustc-web rust-web-src' (Debian 12); "
    "'apt-get install rustc rust-src' (Debian 13, Ubuntu 25.04 and later); "
    "'dnf install rust rust-src' (Fedora); 'rustup component add rust-src' (rustup)"
)


def ask(rustc: str, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            [rustc, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def candidates() -> list[str]:
    """Compilers to look at, the distribution's own first: it comes with its source."""
    if chosen := os.environ.get("RUSTC"):
        return [shutil.which(chosen) or chosen]
    found = [
        str(Path(folder) / "rustc")
        for folder in ["/usr/bin", *os.environ.get("PATH", "").split(":")]
        if folder and os.access(Path(folder) / "rustc", os.X_OK)
    ]
    return list(dict.fromkeys(found))


def library_of(rustc: str, version: str) -> Path | None:
    """The `library` folder of the compiler's source."""
    places = [Path(f"/usr/src/rustc-{version}/library")]
    if sysroot := ask(rustc, "--print", "sysroot"):
        places.insert(0, Path(sysroot) / "lib/rustlib/src/rust/library")
    return next((place for place in places if (place / "core/src/lib.rs").is_file()), None)


def choose() -> tuple[dict[str, str] | None, list[str]]:
    """The first compiler that fits, and why those before it do not."""
    refused = []
    for rustc in candidates():
        answer = ask(rustc, "--version") or ""
        match = re.match(r"rustc ((\d+)\.(\d+)\.\d+)", answer)
        if match is None:
            refused.append(f"{rustc}: does not answer --version")
            continue
        version = match[1]
        if (int(match[2]), int(match[3])) < OLDEST:
            refused.append(f"{rustc}: {version} is older than {OLDEST[0]}.{OLDEST[1]}")
            continue
        library = library_of(rustc, version)
        if library is None:
            refused.append(f"{rustc}: {version}, but its library source is not installed")
            continue
        manifest = (library / "core/Cargo.toml").read_text()
        edition = re.search(r'^edition = "(\d+)"', manifest, re.MULTILINE)
        return {
            "rustc": rustc,
            "version": version,
            "library": str(library),
            "edition": edition[1] if edition else "2021",
        }, refused
    return None, refused


def main(destination: str) -> int:
    choice, refused = choose()
    for line in refused:
        print(f"rust-toolchain: not taken: {line}", file=sys.stderr)
    if choice is None:
        print(f"rust-toolchain: no usable Rust compiler; {INSTALL}", file=sys.stderr)
        return 3
    text = json.dumps(choice, indent=1, ensure_ascii=False) + "\n"
    path = Path(destination)
    if not path.exists() or path.read_text() != text:
        print(f"rust-toolchain: {choice['rustc']} {choice['version']}", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(text)
        scratch.rename(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
