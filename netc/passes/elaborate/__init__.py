"""Typed syntax → network: scopes, repeats, conditions, sizes and checks of lines in one walk, interleaved because
conditions may look at sizes.

From the bottom up: `session` is what a compile shares, `namespace` and `reading` know what names mean, `operators` and
`calls` make a node or a call of a line, `body` walks the statements of a block, `blocks` keeps each block, `network`
begins with the file.
"""
