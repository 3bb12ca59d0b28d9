"""Networks of other packages, and netc's own, imported and compared: what docs/import_corpus.md tells."""
