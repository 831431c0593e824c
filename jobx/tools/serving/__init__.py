"""The processes of `jobx serve`."""
