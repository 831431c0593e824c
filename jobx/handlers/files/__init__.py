"""``FS``: files that all handlers of a workflow share, in a folder of its own on any back end."""
