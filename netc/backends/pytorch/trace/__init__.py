"""First step: one instance of a block becomes a tree, with every number in the names of the class to be."""
