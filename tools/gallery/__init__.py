"""The gallery: every network of `specs/` with its published figures, measured, compared and drawn."""
