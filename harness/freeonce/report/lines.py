"""Tables as lines: without blanks to the right where no terminal shows them."""

from rich.console import Console, RenderableType
from rich.text import Text


def put(console: Console, renderable: RenderableType) -> None:
    """Print it; in a file or a pipe no line ends in blanks."""
    if console.is_terminal:
        console.print(renderable)
        return
    for line in console.render_lines(renderable, pad=False):
        said = "".join(segment.text for segment in line)
        console.print(Text(said.rstrip()), soft_wrap=True)
