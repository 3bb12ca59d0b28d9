"""What people and their editors do with the text of a spec: lay it out, mend it, begin one, ask about it."""
