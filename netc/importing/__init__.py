"""Existing networks become short specs: files of other tools are read, their structure is found, and both are
compared."""
