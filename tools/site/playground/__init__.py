"""netc in the browser."""
