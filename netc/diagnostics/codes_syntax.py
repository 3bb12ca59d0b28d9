"""What can be wrong with the text of a spec."""

from __future__ import annotations

from netc.diagnostics.code_info import CodeInfo

SYNTAX_CODES = (
    CodeInfo(
        "bad-yaml",
        "error",
        "The text is not valid YAML for netc",
        "YAML gives a meaning to `@`, `*`, `&`, `!`, `{`, `: ` and to commas and brackets inside a list, and joins an "
        "unquoted text with the next, deeper line. netc accepts none of this: no tags, anchors, merge keys, second "
        "documents or invisible characters.",
        "net:\n  conv1: conv2d 8 3\n  out: @conv1\n",
        'quote the value (`"@conv1"`), or write lists inside a line as `(1 7)`.',
    ),
    CodeInfo(
        "duplicate-key",
        "error",
        "A key appears twice in one mapping",
        "YAML loaders silently keep the last one; a network would lose a layer.",
        "net:\n  conv1: conv2d 8 3\n  conv1: conv2d 16 3\n",
        "give one of the two another name.",
    ),
    CodeInfo(
        "missing-key",
        "error",
        "A file lacks a required key",
        "Every file has `netc: 1`, its `inputs`, and under `net` what it computes.",
        "outputs: {out: conv1}\n",
        "add the key.",
    ),
    CodeInfo(
        "unknown-key",
        "error",
        "An unknown key",
        "Each place has a fixed list of keys, so that a misspelt one is not silently ignored.",
        "net: relu\noutput: {out: relu}\n",
        "use one of the keys listed.",
    ),
    CodeInfo(
        "wrong-kind",
        "error",
        "The wrong kind of value: text, list or mapping",
        "Every key holds one kind of value.",
        "net: relu\nvariants: [small, large]\n",
        "write the kind of value that the message asks for.",
    ),
    CodeInfo(
        "bad-edition",
        "error",
        "Unknown edition of the language",
        "`netc: 1` says which edition a file is written in, so later editions do not break old files.",
        "netc: 7\ninputs: {image: [N, 3, 32, 32]}\nnet: relu\n",
        "write `netc: 1`, or use a newer netc.",
    ),
    CodeInfo(
        "bad-name",
        "error",
        "A name that cannot be used",
        "Names become Python attributes and arguments, so Python keywords and attributes that every `nn.Module` has "
        "(`train`, `forward`, `type`, …) are refused; `in`, `x`, `x1`, the axis letters, `shape` and `rank` are "
        "reserved.",
        "net:\n  train: conv2d 8 3\n",
        "choose another name.",
    ),
    CodeInfo(
        "duplicate-name",
        "error",
        "Two things have the same name",
        "Arguments and `let`s share one scope; blocks, imports and shared modules share another.",
        "args: depth=2\nlet: {depth: 3}\nnet: relu\n",
        "rename one of them.",
    ),
    CodeInfo(
        "bad-statement",
        "error",
        "Not a statement",
        "A statement is a line, a list of statements, or a mapping with `do` or `op`.",
        "net:\n  stem: {conv: conv2d 8 3, act: relu}\n",
        "put nested statements under `do:`.",
    ),
    CodeInfo(
        "bad-line",
        "error",
        "A line that cannot be parsed",
        "A line is an operator, then positional arguments, then `name=value`; `@tensor` and `xN` may appear anywhere "
        "after the operator.",
        "net:\n  conv1: conv2d 8 stride=2 3\n",
        "write for example `conv2d 64 7 stride=2 @image`.",
    ),
    CodeInfo(
        "duplicate-argument",
        "error",
        "An argument is given twice",
        "Once by name, and again by name or by position.",
        "net:\n  conv1: conv2d 8 3 padding=1 padding=2\n",
        "keep one of the two.",
    ),
    CodeInfo(
        "bad-expression",
        "error",
        "An expression that cannot be parsed or evaluated",
        "Inside parentheses both spaces and commas separate, and an operator joins its neighbours if it has spaces on "
        "both sides or on neither, so `(0 2 -1)` is three numbers.",
        "net:\n  conv1: conv2d (4 *2) 3\n",
        "write `4*2` or `(4 * 2)`; lists are written `(1 7)`.",
    ),
    CodeInfo(
        "bad-reference",
        "error",
        "A reference that cannot be parsed",
        "A reference is a module path: `@stem.0`, `@p$(2..6).scores`, `@convs.*`.",
        "net:\n  conv1: conv2d 8 3\n  out: add @conv1 @conv1..0\n",
        "write the names between dots.",
    ),
    CodeInfo(
        "bad-value",
        "error",
        "A word that is not allowed here",
        "Some places accept only certain words, such as `when: train` or the dtype of an input.",
        "net: relu\nlint: {lost-input: loud}\n",
        "use one of the words listed.",
    ),
    CodeInfo(
        "missing-default",
        "error",
        "An argument of a file has no default",
        "A file must build on its own, without arguments.",
        "args: classes\nnet: [flatten, linear classes]\n",
        "add a default: `classes=10`.",
    ),
    CodeInfo(
        "unknown-lint",
        "error",
        "No lint has this name",
        "`lint:` and `# netc: ignore[…]` set the level of warnings; an error stays an error.",
        "net: relu\nlint: {lost-inputs: error}\n",
        "use one of the codes listed.",
    ),
    CodeInfo(
        "too-complex",
        "error",
        "Too deeply nested, or too long",
        "Expressions, lists and lines have limits, so no text can exhaust the machine.",
        "net:\n  conv1: conv2d " + "(" * 61 + "8" + ")" * 61 + " 3\n",
        "name parts of it under `let:`.",
    ),
    CodeInfo(
        "too-large",
        "error",
        "A number, a count or a file beyond netc's limits",
        "Integers have 64 bits; the number of repeats, layers and files is limited.",
        "net:\n  conv1: conv2d 9999999999999999999 3\n",
        "use a smaller number.",
    ),
    CodeInfo(
        "missing-file",
        "error",
        "A file cannot be read",
        "It does not exist, is not a file, or may not be read. Imports are relative to the file that contains them.",
        "import: {body: nowhere.yaml}\nnet: body\n",
        "correct the path.",
    ),
    CodeInfo(
        "import-outside",
        "error",
        "An import lies outside the folder of the spec",
        "A spec may come from anyone, so it can only import files from its own folder and the folders below it, with "
        "links followed.",
        "import: {body: ../../elsewhere.yaml}\nnet: body\n",
        "`--allow-imports DIR` (`netc.load(…, allow_imports=[DIR])` in Python) names another folder that may be read.",
    ),
)
