"""The door in front of the application checks which requests may come in."""
