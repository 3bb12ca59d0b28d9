"""Measuring: how fast models run beside one another, and where their time and memory go."""
