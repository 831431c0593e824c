"""Reads pages as a browser without JavaScript does: their text, their links, their elements."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urljoin

_ORIGIN = "http://jobx.example"
_EMPTY = {"meta", "link", "input", "br"}


class Html(HTMLParser):
    """A page.

    Args:
        text: Its HTML.
        place: The path that it was found at.

    Attributes:
        text: What is to be read.
        tags: How often each element occurs.
        links: The paths that it leads to or loads, resolved.
        ids: The ids of elements.
        values: The values of fields, by name.
        styled: Attributes that the policy of pages forbids.
        unclosed: Elements that are open at the end, or are closed without a beginning.
    """

    def __init__(self, text: str, place: str) -> None:
        super().__init__()
        self.place = place
        self.text = ""
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.values: dict[str, str] = {}
        self.styled: list[str] = []
        self.unclosed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags[tag] += 1
        found = {name: value or "" for name, value in attrs}
        self.styled += [name for name in found if name == "style" or name.startswith("on")]
        if tag not in _EMPTY:
            self.unclosed.append(tag)
        for name in ("href", "src", "action"):
            if name in found:
                self.links.append(urljoin(_ORIGIN + self.place, found[name]).removeprefix(_ORIGIN))
        if "id" in found:
            self.ids.append(found["id"])
        if "name" in found and tag != "meta":
            self.values[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Note an end."""
        if self.unclosed and self.unclosed[-1] == tag:
            self.unclosed.pop()
        else:
            self.unclosed.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data
