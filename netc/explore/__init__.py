"""Design spaces: the networks that a spec is for many values of its arguments, measured, compared and searched."""
