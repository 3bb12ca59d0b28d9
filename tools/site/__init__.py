"""The site: documentation, and netc itself in the browser. `make site`."""
