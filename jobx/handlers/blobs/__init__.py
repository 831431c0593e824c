"""Blobs: the files of large values, here and in a place that nodes share."""
