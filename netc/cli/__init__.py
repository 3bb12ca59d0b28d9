"""The command line: the only part that reads options, prints to the terminal and chooses exit codes."""
