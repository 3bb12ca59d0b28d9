"""`python -m netc`."""

from __future__ import annotations

from netc.cli.main import main

if __name__ == "__main__":
    main()
