"""
Map each image in the workflow's shared files to the step image.

**
handler_type: mapper
argument_spec:
- [edge, int]
"""

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def handler(edge):
    FS.mkdir("thumbnails", allow_recreate=True)
    yield MrConfigureToMap("image")
    for name, _ in FS.ls():
        if name.lower().endswith(ENDINGS):
            yield name, {"path": name, "edge": edge}
