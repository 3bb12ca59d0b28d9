"""Last step: the text of a file from its classes."""
