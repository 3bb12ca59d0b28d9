"""Readers, one for each kind of source: each makes a `Graph` and knows nothing of specs."""
