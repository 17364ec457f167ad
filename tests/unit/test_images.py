"""The recipes: what they choose, what they refuse, and that they leave no half file."""

import gzip
import json
import lzma
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from freeonce.errors import HostError, UsageError
from freeonce.project.image import load_outer
from freeonce.subject.moving import Found

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
sys.path.insert(0, str(IMAGES))

import redirected  # noqa: E402
import vmlinux  # noqa: E402


def run(
    *command: "str | Path", env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def elf(pvh: bool) -> bytes:
    """A 64-bit ELF file with one note: PVH's, or another."""
    note = struct.pack("<III4sI", 4, 4, 18 if pvh else 7, b"Xen\0", 0x1000000)
    head = b"\x7fELF\x02\x01".ljust(0x20, b"\0") + struct.pack("<Q", 64)
    head = head.ljust(0x36, b"\0") + struct.pack("<HH", 56, 1)
    table = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(note), len(note), 4)
    return head.ljust(64, b"\0") + table + note


def sized(packed: bytes, size: int) -> bytes:
    """A payload as the kernel's build makes it; gzip has its size already."""
    return packed if packed[:2] == b"\x1f\x8b" else packed + size.to_bytes(4, "little")


def bzimage(packed: bytes) -> bytes:
    """A bzImage with one setup sector and this payload."""
    image = bytearray(1024)
    image[0x1F1] = 1
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 0, len(packed))
    return bytes(image) + packed + b"trailer"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_a_packed_kernel_with_pvh_is_unpacked(pack: "type", tmp_path: Path) -> None:
    packed = sized(pack(elf(pvh=True)), len(elf(pvh=True)))
    (tmp_path / "bzImage").write_bytes(bzimage(packed))
    vmlinux.main(str(tmp_path / "bzImage"), str(tmp_path / "boot"))
    assert (tmp_path / "boot").read_bytes() == elf(pvh=True)


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(elf(pvh=False)),
        gzip.compress(b"no ELF"),
        b"unknown packing",
        # Cut short: what comes out begins like a kernel and is none.
        sized(lzma.compress(elf(pvh=True))[:60], len(elf(pvh=True))),
        sized(lzma.compress(elf(pvh=True)), len(elf(pvh=True)) + 1),
    ],
    # gzip puts the time into its output: no name for a test that two workers must agree on.
    ids=["no-pvh", "no-elf", "unknown-packing", "cut-short", "other-size"],
)
def test_any_other_kernel_boots_as_it_is(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage(packed))
    vmlinux.main(str(tmp_path / "bzImage"), str(tmp_path / "boot"))
    assert (tmp_path / "boot").read_bytes() == bzimage(packed)


def test_an_error_page_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_text("<html>404</html>")
    done = run(IMAGES / "vmlinux.py", tmp_path / "bzImage", tmp_path / "boot")
    assert done.returncode == 1
    assert "not a bzImage" in done.stderr
    assert not (tmp_path / "boot").exists()


def compiler(folder: Path, version: str, *, source: bool = True) -> Path:
    sysroot = folder / "sysroot"
    core = sysroot / "lib/rustlib/src/rust/library/core"
    if source:
        (core / "src").mkdir(parents=True)
        (core / "src/lib.rs").touch()
        (core / "Cargo.toml").write_text('[package]\nedition = "2024"\n')
    return program(
        folder / "bin/rustc",
        f'case $1 in --version) echo "rustc {version} (x 2026-01-01)";; *) echo {sysroot};; esac',
    )


def choose(rustc: Path, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    script = IMAGES / "rust-toolchain.py"
    return run(script, tmp_path / "toolchain.json", env={"RUSTC": str(rustc)})


def test_a_compiler_with_its_source_is_chosen_and_shown(tmp_path: Path) -> None:
    rustc = compiler(tmp_path, "1.85.0")
    done = choose(rustc, tmp_path)
    assert done.returncode == 0
    assert f"{rustc} 1.85.0" in done.stderr
    chosen = json.loads((tmp_path / "toolchain.json").read_text())
    assert (chosen["version"], chosen["edition"]) == ("1.85.0", "2024")


def test_the_same_choice_is_not_written_again(tmp_path: Path) -> None:
    rustc = compiler(tmp_path, "1.96.0")
    choose(rustc, tmp_path)
    written = (tmp_path / "toolchain.json").stat().st_mtime_ns
    assert choose(rustc, tmp_path).stderr == ""
    assert (tmp_path / "toolchain.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("version", "source", "why"),
    [
        ("1.84.1", True, "1.84.1 is older than 1.85"),
        ("1.99.9", False, "its library source is not installed"),
        ("", True, "does not answer --version"),
    ],
)
def test_a_compiler_that_will_not_do_is_refused_with_what_to_install(
    version: str, source: bool, why: str, tmp_path: Path
) -> None:
    done = choose(compiler(tmp_path, version, source=source), tmp_path)
    assert done.returncode == 3
    assert why in done.stderr
    assert "rustup component add rust-src" in done.stderr
    assert not (tmp_path / "toolchain.json").exists()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The root of a machine with kernel 9.9 and its headers."""
    root = tmp_path / "root"
    headers = root / "lib/modules/9.9/build"
    headers.mkdir(parents=True)
    (headers / "Makefile").touch()
    (root / "boot").mkdir()
    (root / "boot/vmlinuz-9.9").write_text("kernel")
    (root / "boot/config-9.9").write_text("CONFIG_X=y\n")
    return root


def test_the_kernel_of_the_host(host: Path, tmp_path: Path) -> None:
    done = run(IMAGES / "kernel-host.sh", tmp_path / "kernel", "9.9", host)
    assert done.returncode == 0, done.stderr
    kernel = tmp_path / "kernel"
    assert (kernel / "bzImage").read_text() == "kernel"
    assert (kernel / "release").read_text() == "9.9\n"
    assert (kernel / "headers/Makefile").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernel", "root"]


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("boot/vmlinuz-9.9", "no readable vmlinuz-9.9"),
        ("lib/modules/9.9/build/Makefile", "install linux-headers-9.9"),
        ("boot/config-9.9", "no configuration of 9.9"),
    ],
)
def test_a_host_that_lacks_something_is_told_what(
    missing: str, why: str, host: Path, tmp_path: Path
) -> None:
    (host / missing).unlink()
    done = run(IMAGES / "kernel-host.sh", tmp_path / "kernel", "9.9", host)
    assert done.returncode == 1
    assert why in done.stderr
    assert not (tmp_path / "kernel").exists()


def test_a_folder_that_is_no_built_tree_is_refused(tmp_path: Path) -> None:
    done = run(IMAGES / "kernel-tree.sh", tmp_path, tmp_path / "kernel")
    assert done.returncode == 1
    assert "arch/x86/boot/bzImage is missing" in done.stderr
    done = run(IMAGES / "kernel-tree.sh", "no/such", tmp_path / "kernel")
    assert "neither cloud, host, a linux-image package nor a folder" in done.stderr


def test_a_built_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("arch/x86/boot/bzImage", "include/config/kernel.release"):
        (tree / name).parent.mkdir(parents=True)
    for name in (
        *("arch/x86/boot/bzImage", ".config"),
        *("include/config/kernel.release", "Module.symvers"),
    ):
        (tree / name).write_text(name)
    done = run(IMAGES / "kernel-tree.sh", tree, tmp_path / "kernel")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kernel/headers").resolve() == tree


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """apt-get knows the package and then cannot fetch it."""
    depends = "case $3 in *image-cloud*) echo ' Depends: linux-image-9';; *) "
    depends += "echo ' Depends: linux-headers-9-common'; echo ' Depends: linux-kbuild-9';; esac"
    program(tmp_path / "bin/apt-cache", depends)
    program(tmp_path / "bin/apt-get", "echo half >linux-image-9.deb; exit 100")
    done = run(
        *(IMAGES / "kernel-package.sh", "linux-image-cloud-amd64", tmp_path / "kernel"),
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
    )
    assert done.returncode == 1
    assert "could not download linux-image-9" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_keys_that_fail_half_way_leave_nothing(tmp_path: Path) -> None:
    program(tmp_path / "bin/dropbearconvert", "exit 1")
    done = run(
        *(IMAGES / "keys.sh", tmp_path / "keys"),
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
    )
    assert done.returncode == 1
    assert "dropbearconvert refused" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def driver(modules: Path, name: str, depends: str) -> None:
    modules.mkdir(parents=True, exist_ok=True)
    (modules / f"{name}.ko").write_bytes(f"ELF\0license=GPL\0depends={depends}\0".encode())


def load_order(kernel: Path, root: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    script = f". {IMAGES}/lib.sh; . {IMAGES}/root.sh; kernel={kernel} root={root}; "
    return run("bash", "-c", script + f"install_drivers {' '.join(names)}")


def test_drivers_come_after_what_they_depend_on_and_once(tmp_path: Path) -> None:
    modules = tmp_path / "kernel/modules"
    driver(modules / "a", "kvm-amd", "kvm,ccp")
    driver(modules / "b", "kvm", "irqbypass")
    driver(modules / "b", "ccp", "")
    driver(modules / "c", "irqbypass", "")
    driver(modules / "c", "vhost", "kvm")
    done = load_order(tmp_path / "kernel", tmp_path / "root", "kvm-amd", "vhost", "built_in")
    assert done.returncode == 0, done.stderr
    order = (tmp_path / "root/lib/drivers/order").read_text().split()
    assert sorted(order) == ["ccp.ko", "irqbypass.ko", "kvm-amd.ko", "kvm.ko", "vhost.ko"]
    assert order.index("irqbypass.ko") < order.index("kvm.ko") < order.index("kvm-amd.ko")
    assert order.index("ccp.ko") < order.index("kvm-amd.ko")
    assert order.index("kvm.ko") < order.index("vhost.ko")
    for name in order:
        assert (tmp_path / "root/lib/drivers" / name).read_bytes().startswith(b"ELF")


def test_a_packed_driver_is_unpacked(tmp_path: Path) -> None:
    modules = tmp_path / "kernel/modules"
    modules.mkdir(parents=True)
    (modules / "kvm.ko.xz").write_bytes(lzma.compress(b"ELF\0depends=\0"))
    done = load_order(tmp_path / "kernel", tmp_path / "root", "kvm")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root/lib/drivers/kvm.ko").read_bytes() == b"ELF\0depends=\0"


@pytest.fixture
def outer_folder(tmp_path: Path) -> Path:
    """What the recipes of an outer machine made, and its manifest."""
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/release").write_text("6.1.0\n")
    (tmp_path / "boot").write_bytes(b"\x7fELF kernel")
    (tmp_path / "outer.cpio").write_text("initramfs")
    done = run(IMAGES / "manifest.py", "outer", tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_the_manifest_of_an_outer_machine_is_what_the_harness_reads(outer_folder: Path) -> None:
    outer = load_outer(outer_folder / "outer.json")
    assert outer.boot == outer_folder / "boot"
    assert outer.release == "6.1.0"
    assert outer.initramfs == outer_folder / "outer.cpio"


def test_an_outer_machine_that_is_not_whole_is_refused_and_made_again(outer_folder: Path) -> None:
    (outer_folder / "outer.cpio").write_text("half")
    with pytest.raises(HostError, match=r"outer\.cpio is not the file.*make test-kvm") as error:
        load_outer(outer_folder / "outer.json")
    assert error.value.reason == "no-outer-image"
    done = run(IMAGES / "manifest.py", "verify", outer_folder)
    assert "outer.cpio is not what the manifest says" in done.stdout
    assert sorted(path.name for path in outer_folder.iterdir()) == ["boot", "kernel"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "freeonce/image/1"}'])
def test_a_manifest_of_something_else_is_no_outer_machine(text: str, tmp_path: Path) -> None:
    (tmp_path / "outer.json").write_text(text)
    with pytest.raises(HostError, match="no usable image of an outer machine"):
        load_outer(tmp_path / "outer.json")


def bare_path(tmp_path: Path) -> str:
    """A PATH with a shell's own tools and nothing that freeonce needs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    names = ("sh", "bash", "dirname", "realpath", "mktemp", "rm", "id", "basename", "grep", "env")
    for name in names:
        found = run("sh", "-c", f"command -v {name}").stdout.strip()
        (tools / name).symlink_to(found)
    program(tools / "python3", "exit 0")
    return str(tools)


@pytest.mark.parametrize(
    ("os_release", "words"),
    [
        ("ID=fedora", ["dnf install", "qemu-system-x86-core", "ShellCheck"]),
        ("ID=manjaro\nID_LIKE=arch", ["pacman -S", "qemu-system-x86", "shellcheck"]),
        (
            'ID="opensuse-leap"\nID_LIKE="suse opensuse"',
            ["zypper install", "qemu-x86", " busybox dropbear ", "rustup", "findutils"],
        ),
        ("ID=debian", ["apt-get install", "dropbear-bin", "busybox-static"]),
    ],
)
def test_without_rights_the_exact_list_is_printed(
    os_release: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "os-release").write_text(os_release)
    env = {
        # The script adds the system's own folders; this one stands before them and lacks all.
        "FREEONCE_ONLY_PATH": bare_path(tmp_path),
        "FREEONCE_OS_RELEASE": str(tmp_path / "os-release"),
    }
    said = "".join(
        run(ROOT / "ci/install-deps", what, env=env).stderr for what in ("run", "test", "lint")
    )
    assert "missing" in said
    for word in words:
        assert word in said


@pytest.mark.parametrize("arguments", [(), ("vmx", "out"), ("tcg",)])
def test_a_lane_that_is_none_is_refused_before_anything_is_built(
    arguments: tuple[str, ...],
) -> None:
    done = run(ROOT / "ci/lane", *arguments)
    assert done.returncode != 0
    assert "usage: " in done.stderr


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("--no-faults 'mine/*'", ["--no-faults", "mine/*"]),
        ('"mine/a b"  c/pool', ["mine/a b", "c/pool"]),
        ("$(touch x) `touch x`", ["$(touch", "x)", "`touch", "x`"]),
        ("", []),
    ],
)
def test_a_lane_takes_the_quotes_of_its_arguments_away(
    words: str, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/lane").write_bytes((ROOT / "ci/lane").read_bytes())
    for folder in ("guest", "images", "build", ".venv/bin", "path"):
        (tmp_path / folder).mkdir(parents=True)
    program(tmp_path / "path/make", "exit 0")
    program(tmp_path / ".venv/bin/freeonce", '[ "$1" = doctor ] || printf \'%s\\n\' "$@"')
    env = {"ARGS": words, "PATH": f"{tmp_path}/path:{os.environ['PATH']}"}
    done = run("bash", tmp_path / "ci/lane", "tcg", tmp_path / "reports", env=env)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:3] == ["run", "--accel", "tcg"]
    assert said[3 : said.index("--html")] == arguments
    assert not list(tmp_path.glob("**/x"))


def test_a_lane_refuses_a_quote_without_its_end() -> None:
    script = (ROOT / "ci/lane").read_text()
    part = script[script.index("words=") : script.index("exec .venv")]
    done = run("bash", "-euc", part, env={"ARGS": "'mine/*"})
    assert done.returncode != 0
    assert "quote" in done.stderr


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml", "Containerfile"])
def test_each_pipeline_says_what_it_needs(name: str) -> None:
    text = (ROOT / "ci" / name).read_text()
    assert re.search(r"^# Needs ", text, re.M)
    assert "ci/lane" in text or "freeonce run" in text


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    python = program(tmp_path / "python3", "exit 1")
    done = run(ROOT / "ci/install-deps", "run", env={"PYTHON": str(python)})
    assert done.returncode == 3
    assert "no Python of 3.11 or later" in done.stderr


def test_an_initramfs_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The guest's private host key is in it."""
    (tmp_path / "root").mkdir()
    script = f"set -e; umask 022; . {IMAGES}/lib.sh; . {IMAGES}/root.sh; root={tmp_path}/root; "
    done = run("bash", "-c", script + f"scratch={tmp_path}; pack {tmp_path}/initramfs")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "initramfs").stat().st_mode & 0o777 == 0o600


def test_the_python_that_was_chosen_runs_every_recipe(tmp_path: Path) -> None:
    """`make PYTHON=...`: the first python3 in the PATH may be too old for them."""
    for name in ("Makefile", *(one.name for one in IMAGES.glob("*.*"))):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes((IMAGES / name).read_bytes())
    for folder in ("module", "instrument", "specimens", "rust/src", "init", "outer"):
        (tmp_path / "guest" / folder).mkdir(parents=True)
    targets = "verify", "../build/rust-toolchain.json"
    command = ["make", "-nB", "-C", str(tmp_path / "images"), "PYTHON=/chosen/python", *targets]
    said = run(*command).stdout
    called = [line for line in said.splitlines() if ".py" in line]
    assert len(called) >= 2
    assert all(line.strip().startswith("/chosen/python ") for line in called)
    # What a dry run does not come to.
    recipes = (IMAGES / "Makefile").read_text().splitlines()
    for line in recipes:
        assert not re.match(r"\t@?\./\w+[\w-]*\.py", line), line


def test_a_pin_refuses_every_other_kernel(tmp_path: Path) -> None:
    (tmp_path / "kernel/modules").mkdir(parents=True)
    for name in ("bzImage", "config", "release", "modules/a.ko"):
        (tmp_path / "kernel" / name).write_text(name)
    pin = run(IMAGES / "kernel-pin.sh", tmp_path / "kernel").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", pin)
    assert run(IMAGES / "kernel-pin.sh", tmp_path / "kernel", pin).returncode == 0
    (tmp_path / "kernel/modules/a.ko").write_text("another")
    done = run(IMAGES / "kernel-pin.sh", tmp_path / "kernel", pin)
    assert done.returncode == 1
    assert f"not the {pin} of KERNEL_PIN" in done.stderr


@pytest.mark.parametrize("name", ["vmrun", "vmload", "vmsave"])
def test_what_nobody_sees_in_a_scenario_is_refused(name: str) -> None:
    left = [Found("wrmsr", ".text", 16, "", "f"), Found(name, ".text", 32, "", "enter")]
    with pytest.raises(UsageError, match=rf"{name} at \.text\+0x20 in enter") as caught:
        redirected.refuse_unseen(left)
    assert "wrmsr" not in str(caught.value)


def test_what_shows_in_a_cpus_state_is_allowed_in_a_scenario() -> None:
    redirected.refuse_unseen([Found("wrmsr", ".text", 16), Found("clgi", ".text", 20)])
