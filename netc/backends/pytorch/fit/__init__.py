"""Fourth step: for every number that instances differ in an expression, a parameter, or another class."""
