"""The page for people: one file of HTML that loads nothing."""

import base64
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zoo.serving.forms import Field, Form, form_of
from zoo.serving.limits import Limits
from zoo.serving.wire import Info

_HERE = Path(__file__).parent
#: Asked for where the task's form is not known.
_ANY = Form("Predictions", "Predict", (Field("", "One object of JSON", rows=10),))


@dataclass(frozen=True)
class Page:
    """A page and the policy that a browser holds it to.

    Attributes:
        html: The page.
        policy: Its Content-Security-Policy: only its own script and style, only its own server.
    """

    html: str
    policy: str


def page_of(info: Info, limits: Limits) -> Page:
    """The page for what is served; everything that comes from the model is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    form = form_of(info.family, pairs=info.pairs) or _ANY
    html = environment.get_template("page.html").render(
        form=form,
        info=info,
        limits=limits,
        setup=_setup(form, info, limits),
        style=style,
        script=script,
    )
    return Page(
        html,
        "default-src 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    )


def _setup(form: Form, info: Info, limits: Limits) -> dict[str, Any]:
    """What the script needs to know."""
    types = dict.fromkeys(label.partition("-")[2] or label for label in info.labels if label != "O")
    return {
        "example": form.example,
        "fields": [asdict(field) for field in form.fields],
        "max_characters": limits.max_characters,
        "types": list(types) if info.family == "ner" else [],
    }


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
