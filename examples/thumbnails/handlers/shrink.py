"""
Write a small copy of an image into the folder thumbnails of FS.

It may run again after a lost executor, which does no harm: the file is replaced as a whole.

**
handler_type: mapper
argument_spec:
- [path, str]
- [edge, int]
time_limit_s: 60
"""

from PIL import Image


def handler(path, edge):
    target = JOIN("thumbnails", path)
    with FS.open(path, "rb") as file, Image.open(file) as image:
        ending = image.format
        before = image.size
        image.thumbnail((edge, edge))
        with FS.open(target, "wb") as small:
            image.save(small, ending)

    yield MrConfigureToReturn()
    yield target, {"before": before, "after": image.size}
