"""The pages for people, at ``/ui``: what the JSON addresses answer, as HTML."""
