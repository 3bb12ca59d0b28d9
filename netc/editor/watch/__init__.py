"""`netc watch`: a page in the browser that follows a spec as it is saved."""
