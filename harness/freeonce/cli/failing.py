"""Options for acquisitions that are made to fail, for `run` and `audit`."""

import re

import click

from freeonce.audit.attempts import Each, Where, each_of

BARE = "--fail-each"
ALL = f"{BARE}=all"


class WherePoint(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """`3`, or `3+` with all after it."""

    name = "N[+]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Where:
        """Fails for what is none."""
        match = re.fullmatch(r"([1-9]\d{0,8})(\+?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no failure point; write it as 3, or 3+", param, ctx)
        return Where(int(match[1]), bool(match[2]))


class EachPoint(click.ParamType):  # type: ignore[type-arg]
    """A stage of a life, or all; with + in front also with everything after it failing."""

    name = "[+][STAGE]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Each:
        """Fails for what is none."""
        if isinstance(value, Each):
            return value
        try:
            return each_of(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)


class WithBareOption(click.Command):
    """`--fail-each` takes a value only behind a `=`: what follows it alone is a target."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See above; what stands behind `--` stays as it is."""
        end = args.index("--") if "--" in args else len(args)
        said = [ALL if one == BARE else one for one in args[:end]]
        return super().parse_args(ctx, [*said, *args[end:]])


limit_option = click.option(
    "--fail-limit",
    type=click.IntRange(min=1),
    help="Make at most this many acquisitions of one stack fail, evenly spread.",
)
