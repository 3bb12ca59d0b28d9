"""The command line: the only part that reads options, prints to the terminal and chooses exit codes."""

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of shells: 128 and the number of the signal."""
