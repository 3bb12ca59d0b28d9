"""What can be wrong with the text of a spec."""

from __future__ import annotations

from netc.diagnostics.code_info import CodeInfo

SYNTAX_CODES = (
    CodeInfo(
        "bad-yaml",
        "error",
        "The text is not YAML as netc reads it",
        "YAML gives a meaning to `@`, `*`, `&`, `!`, `{`, `: ` and to commas and brackets inside a list, and joins an "
        "unquoted text with the next, deeper line. netc takes none of it: no tags, anchors, merge keys, second "
        "documents or invisible characters.",
        "net:\n  conv1: conv2d 8 3\n  out: @conv1\n",
        'quote the value (`"@conv1"`), or write lists inside a line as `(1 7)`.',
    ),
    CodeInfo(
        "duplicate-key",
        "error",
        "A key stands twice in one mapping",
        "YAML loaders silently keep the last one; a network would lose a layer.",
        "net:\n  conv1: conv2d 8 3\n  conv1: conv2d 16 3\n",
        "give one of the two another name.",
    ),
    CodeInfo(
        "missing-key",
        "error",
        "A file lacks a key it must have",
        "Every file says `netc: 1`, what goes in (`inputs`) and what is computed (`net`).",
        "outputs: {out: conv1}\n",
        "add the key.",
    ),
    CodeInfo(
        "unknown-key",
        "error",
        "A key that the language does not have",
        "Keys are a fixed list per place, so a misspelt one cannot be overlooked.",
        "net: relu\noutput: {out: relu}\n",
        "take one of the keys listed.",
    ),
    CodeInfo(
        "wrong-kind",
        "error",
        "A text where a list or a mapping is due, or the other way round",
        "Every key holds one kind of value.",
        "net: relu\nvariants: [small, large]\n",
        "write the kind of value the message names.",
    ),
    CodeInfo(
        "bad-edition",
        "error",
        "The edition of the language is not known",
        "`netc: 1` says which edition a file is written in, so that later editions break no old file.",
        "netc: 7\ninputs: {image: [N, 3, 32, 32]}\nnet: relu\n",
        "write `netc: 1`, or use a newer netc.",
    ),
    CodeInfo(
        "bad-name",
        "error",
        "A name that cannot be used",
        "Names become Python attributes and arguments, so Python's keywords and what every `nn.Module` already has "
        "(`train`, `forward`, `type`, …) are refused; `in`, `x`, `x1`, the axis letters, `shape` and `rank` are "
        "reserved.",
        "net:\n  train: conv2d 8 3\n",
        "choose another name.",
    ),
    CodeInfo(
        "duplicate-name",
        "error",
        "Two things have the same name",
        "Arguments and `let`s share one scope; blocks, imports and shared modules are called alike.",
        "args: depth=2\nlet: {depth: 3}\nnet: relu\n",
        "rename one of them.",
    ),
    CodeInfo(
        "bad-statement",
        "error",
        "A statement that is none",
        "A statement is a line, a list of statements, or a mapping with `do` or `op`.",
        "net:\n  stem: {conv: conv2d 8 3, act: relu}\n",
        "put nested statements under `do:`.",
    ),
    CodeInfo(
        "bad-line",
        "error",
        "A line that cannot be read",
        "A line is an operator, then positional arguments, then `name=value`; `@tensor` and `xN` stand anywhere "
        "after the operator.",
        "net:\n  conv1: conv2d 8 stride=2 3\n",
        "write for example `conv2d 64 7 stride=2 @image`.",
    ),
    CodeInfo(
        "duplicate-argument",
        "error",
        "An argument is given twice",
        "Once by name and once more, by name or by position.",
        "net:\n  conv1: conv2d 8 3 padding=1 padding=2\n",
        "keep one of the two.",
    ),
    CodeInfo(
        "bad-expression",
        "error",
        "An expression that cannot be read or evaluated",
        "Inside parentheses spaces and commas both separate, and a sign joins its neighbours only with spaces on both "
        "sides or on neither, so `(0 2 -1)` is three numbers.",
        "net:\n  conv1: conv2d (4 *2) 3\n",
        "write `4*2` or `(4 * 2)`; lists are `(1 7)`; `netc` has its own functions only.",
    ),
    CodeInfo(
        "bad-reference",
        "error",
        "A reference that cannot be read",
        "A reference is a module path: `@stem.0`, `@p$(2..6).scores`, `@convs.*`.",
        "net:\n  conv1: conv2d 8 3\n  out: add @conv1 @conv1..0\n",
        "write the names between dots.",
    ),
    CodeInfo(
        "bad-value",
        "error",
        "A word that is not allowed here",
        "Some places take only the words they list, such as `when: train` or the dtype of an input.",
        "net: relu\nlint: {lost-input: loud}\n",
        "take one of the words listed.",
    ),
    CodeInfo(
        "missing-default",
        "error",
        "An argument of a file has no default",
        "A file builds alone, without arguments.",
        "args: classes\nnet: [flatten, linear classes]\n",
        "give it one: `classes=10`.",
    ),
    CodeInfo(
        "unknown-lint",
        "error",
        "No diagnostic of this name can be turned on or off",
        "`lint:` and `# netc: ignore[…]` set the level of warnings; an error stays an error.",
        "net: relu\nlint: {lost-inputs: error}\n",
        "take one of the codes listed.",
    ),
    CodeInfo(
        "too-complex",
        "error",
        "Too deeply nested, or too long",
        "Expressions, lists and lines are bounded so that no text can exhaust the machine.",
        "net:\n  conv1: conv2d " + "(" * 61 + "8" + ")" * 61 + " 3\n",
        "name parts of it under `let:`.",
    ),
    CodeInfo(
        "too-large",
        "error",
        "A number, a count or a file beyond what netc reads",
        "Integers fit 64 bits; repeats, layers and files are bounded.",
        "net:\n  conv1: conv2d 9999999999999999999 3\n",
        "take a smaller number.",
    ),
    CodeInfo(
        "missing-file",
        "error",
        "A file cannot be read",
        "It does not exist, is no file, or may not be read. Imports are relative to the file they stand in.",
        "import: {body: nowhere.yaml}\nnet: body\n",
        "correct the path.",
    ),
)
