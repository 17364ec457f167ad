"""`freeonce ssh`: a shell, or one command, in a guest of its own."""

import subprocess

import click

from freeonce.cli.options import accelerator_option
from freeonce.cli.setting import find_setting


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@accelerator_option
@click.pass_context
def ssh(context: click.Context, command: tuple[str, ...], accel: str) -> None:
    """Log in to a guest, or run COMMAND in it. It goes when you log out. Exit status: ssh's."""
    setting = find_setting(accel)
    image = setting.image
    with setting.template() as source, setting.clone(source)() as guest:
        port = guest.monitor.forwarded_port()
        known = guest.monitor.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {image.host_key.read_text()}")
        options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
        argv = ["ssh", "-F", "none", "-i", str(image.client_key), "-p", str(port)]
        argv += [word for option in options for word in ("-o", option)]
        done = subprocess.run([*argv, "root@127.0.0.1", *command], check=False)
        context.exit(done.returncode)
