"""The prompt: qemu.qmp's QMP shell on our connection, with our verbs before QMP's commands."""

import json
import os
import readline
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from qemu.qmp.legacy import QMPMessage
from qemu.qmp.qmp_shell import QMPShell

from freeonce.byhand.session import Session
from freeonce.byhand.verbs import VERBS
from freeonce.errors import FreeonceError, GuestLost, HostError
from freeonce.evidence.quote import quoted
from freeonce.evidence.text import printable

HELP = ("help", "?")
LEAVE = ("exit", "quit")


def history_file() -> Path:
    """Where the history is kept: under $XDG_STATE_HOME (XDG Base Directory Specification)."""
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    except RuntimeError as error:
        raise HostError("no-home", "no home folder is known; set HOME") from error
    return Path(state) / "freeonce" / "shell-history"


class Prompt(QMPShell):
    """Reads lines, until `exit` or the end of the input. Its own connection is never made."""

    def __init__(self, session: Session) -> None:
        super().__init__("", pretty=True)
        self._session = session
        self._histfile = str(history_file())

    @property
    def prompt(self) -> str:
        """As qmp-shell's, within a transaction too."""
        return "TRANS> " if self._transmode else "freeonce> "

    def cmd_obj(self, qmp_cmd: QMPMessage) -> QMPMessage:
        """One QMP command over the session's own monitor."""
        return dict(self._session.guest.monitor.answer(qmp_cmd))

    def _fill_completion(self) -> None:
        names = [one.name for one in self._session.guest.scenarios()]
        for line in (*VERBS, "ledger --follow", *HELP, *LEAVE, *(f"run {one}" for one in names)):
            self._completer.append(line)
        answer = self._session.guest.monitor.execute("query-commands")
        for command in answer if isinstance(answer, list) else []:
            self._completer.append(command["name"])

    @classmethod
    def _parse_value(cls, val: str) -> object:
        """A value in quotes is the string in them; qmp-shell would send the quotes, too."""
        if len(val) > 1 and val[0] == val[-1] and val[0] in "\"'":
            return val[1:-1]
        return super()._parse_value(val)

    def _print(self, qmp_message: object, fh: IO[str] | None = None) -> None:
        """What QEMU answers: a string as text, all else as JSON."""
        answer = qmp_message.get("return") if isinstance(qmp_message, Mapping) else None
        text = answer if isinstance(answer, str) else json.dumps(qmp_message, indent=2)
        print(printable(text.replace("\r\n", "\n")).rstrip(), file=fh or sys.stdout)

    def execute(self, line: str) -> bool:
        """One line. Whether to go on."""
        verb, _, argument = line.strip().partition(" ")
        if verb in LEAVE:
            return False
        try:
            if verb in HELP:
                _help()
            elif verb in VERBS and not self._transmode:
                for text in VERBS[verb](self._session, argument.strip()):
                    print(printable(text))
            elif verb:
                return self._execute_cmd(line)
        except GuestLost as lost:
            tail = f"; the console's last lines:\n{quoted(lost.console)}" if lost.console else ""
            print(f"the guest was lost: {lost}{tail}\n`fresh` gives another", file=sys.stderr)
        except FreeonceError as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            print("\ninterrupted; if the guest does not answer now, `fresh` gives another")
        return True

    def loop(self) -> None:
        """Read and execute until the end. The history is written whatever ends it."""
        try:
            Path(self._histfile).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"no history is kept: {error.filename}: {error.strerror}", file=sys.stderr)
        self._completer_setup()
        try:
            while self._next():
                pass
        finally:
            self._save_history()
            readline.set_completer(None)

    def _next(self) -> bool:
        try:
            line = input(self.prompt)
        except KeyboardInterrupt:
            # As every shell: Ctrl-C drops the line.
            print()
            return True
        except EOFError:
            print()
            return False
        return self.execute(line)


def _help() -> None:
    for name, verb in VERBS.items():
        print(f"  {name:<10} {(verb.__doc__ or '').splitlines()[0]}")
    print("  exit       leave; the guest ends too (also by Ctrl-D)")
    print("Everything else is a QMP command: `query-status`, `pmemsave val=0 size=4096 ...`")
