"""docs/write-a-scenario.md, followed word by word in a copy of guest/."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freeonce.project.image import image_path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "write-a-scenario.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
WIDTH = 80


@dataclass(frozen=True)
class Block:
    """What stands between fences, and the prose before it."""

    language: str
    text: str
    before: str


def blocks(page: str) -> Iterator[Block]:
    end = 0
    for match in BLOCK.finditer(page):
        yield Block(match[1], match[2], page[end : match.start()])
        end = match.end()


class Reader:
    """Somebody who does what the page says, and looks whether what it shows is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        self.status: int | None = None
        self.images = 0
        shutil.copytree(ROOT / "guest", folder / "guest")

    def follow(self, block: Block) -> None:
        match block.language:
            case "rust" | "c":
                created = re.findall(r"Create `(.*?)`", block.before)
                assert len(created) == 1, f"which file is this?\n{block.text}"
                (self.folder / created[0]).write_text(block.text)
            case "diff":
                self.apply(block.text)
            case "sh":
                self.run(block.text)
            case "text":
                self.compare(block)

    def apply(self, diff: str) -> None:
        # As git apply is in a clone: there is a repository.
        subprocess.run(["git", "init", "--quiet"], cwd=self.folder, check=True)
        subprocess.run(["git", "apply"], input=diff, text=True, cwd=self.folder, check=True)

    def run(self, command: str) -> None:
        make, run, arguments = shlex.split(command)
        assert (make, run) == ("make", "run")
        image = self.build()
        # One guest: a template of an image that is gone tomorrow would only take room.
        words = ["--shared-guest", *shlex.split(arguments.removeprefix("ARGS="))]
        done = subprocess.run(
            [sys.executable, "-m", "freeonce", "run", *words],
            env={
                **os.environ,
                "FREEONCE_IMAGE": str(image / "manifest.json"),
                "COLUMNS": str(WIDTH),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.said, self.status = done.stdout, done.returncode
        assert self.said, done.stderr

    def build(self) -> Path:
        """What `make run` builds of a changed guest/, beside the image that there is."""
        self.images += 1
        image = self.folder / f"image{self.images}"
        base = image_path().parent.resolve()
        toolchain = ROOT / "build" / "rust-toolchain.json"
        recipe = [ROOT / "images" / "variant.sh", toolchain, base, "2", "fat", image]
        subprocess.run([*map(str, recipe), str(self.folder / "guest")], check=True)
        return image

    def compare(self, block: Block) -> None:
        status = re.findall(r"it exits with (\d)", block.before, re.IGNORECASE)
        assert status == [str(self.status)], self.said
        printed = [line.rstrip() for line in self.said.splitlines()]
        for line in block.text.splitlines():
            assert line in printed, self.said


def test_the_page_leads_to_the_findings_that_it_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    followed = list(blocks(PAGE.read_text()))
    for block in followed:
        reader.follow(block)
    assert [block.language for block in followed].count("text") == reader.images == 2
