"""What our pages have in them: script, style and data, in one file that asks nobody. Pure.

What a page shows comes from a guest that may be hostile. So only its own script and style sheet,
known by their hashes, may act in it.
"""

import base64
import gzip
import hashlib
import json

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def page_of(package: str, template: str, style: str, script: str = "", **values: object) -> str:
    """A page of a room's folder `page`. `values`: what its template names, all escaped."""
    jinja = Environment(
        loader=PackageLoader(package, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return jinja.get_template(template).render(
        script=Markup(script),
        style=Markup(style),
        script_hash=digest(script),
        style_hash=digest(style),
        **values,
    )


def asset(package: str, name: str) -> str:
    """A file of a room's folder `page`."""
    source, _, _ = PackageLoader(package, "page").get_source(Environment(), name)
    return source


def digest(text: str) -> str:
    """How a content security policy names a script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def packed(data: object) -> str:
    """JSON, gzip, base64: a script unpacks it when it is needed."""
    said = json.dumps(data, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(said, mtime=0)).decode()
