"""``FS``: files that the handlers of a workflow share, in its own folder on any back end."""
