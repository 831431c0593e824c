"""Writes two images to try thumbnails on: python examples/thumbnails/make_images.py FOLDER"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image


def main(folder: str) -> None:
    """Write a wide and a tall image with a gradient of grey."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, size in (("wide.png", (800, 400)), ("tall.png", (300, 900))):
        Image.linear_gradient("L").resize(size).save(Path(folder, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
