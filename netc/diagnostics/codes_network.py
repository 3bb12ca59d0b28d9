"""What can be wrong with the network that a spec describes."""

from __future__ import annotations

from netc.diagnostics.code_info import CodeInfo

NETWORK_CODES = (
    CodeInfo(
        "unknown-op",
        "error",
        "No operator, block, import or shared module has this name",
        "Operators are named as the `torch.nn` class in snake_case, else as the torch function.",
        "net:\n  conv1: conv2 8 3\n",
        "see `netc ops` for all operators.",
    ),
    CodeInfo(
        "unknown-argument",
        "error",
        "The operator or block has no such argument",
        "Arguments are PyTorch's, without what is inferred (`in_channels`, `num_features`, …).",
        "net:\n  conv1: conv2d 8 3 strides=2\n",
        "take one of the arguments listed.",
    ),
    CodeInfo(
        "missing-argument",
        "error",
        "An argument without a default is not given",
        "The operator or block cannot be built without it.",
        "net:\n  conv1: conv2d 8\n",
        "give it, by position or by name.",
    ),
    CodeInfo(
        "bad-argument",
        "error",
        "A value that the argument cannot have",
        "It has the wrong kind or lies outside what the operator allows.",
        "net:\n  conv1: conv2d 8 3 stride=0\n",
        "take a value the message allows.",
    ),
    CodeInfo(
        "unknown-name",
        "error",
        "Nothing has this name here",
        "An expression sees loop variables, arguments, `let`s, the inputs' symbols and the sizes of tensors.",
        "args: width=8\nnet:\n  conv1: conv2d widht 3\n",
        "correct the name, or declare it under `args` or `let`.",
    ),
    CodeInfo(
        "ambiguous-name",
        "error",
        "A name that could be two things",
        "An argument, a `let`, a loop variable and a size symbol of the same name cannot be told apart.",
        "args: i=7\nnet: {for: {i: 1..4}, do: conv2d 8*i 3}\n",
        "rename one of them.",
    ),
    CodeInfo(
        "unknown-tensor",
        "error",
        "No statement above has this name",
        "A reference walks modules first, then the outputs of the operator or block reached.",
        "net:\n  conv1: conv2d 8 3\n  out: add @conv1 @cnov1\n",
        "correct the name; only statements above it can be read.",
    ),
    CodeInfo(
        "implicit-fork",
        "error",
        "Two statements read one tensor and not both name it",
        "A statement without `@` reads the one before it. When another reads the same tensor, a forgotten `@` is "
        "likely, so both must name it.",
        "net:\n  a: conv2d 8 3 padding=1\n  b: conv2d 8 3 padding=1\n  out: add @a @b\n",
        "name the tensor with `@` in both.",
    ),
    CodeInfo(
        "unused-statement",
        "error",
        "A statement reaches no output",
        "Nothing is idle: what is computed must reach a declared output.",
        "net:\n  head: conv2d 8 3 @image\n  out: conv2d 4 1 @image\n",
        "use it, declare it under `outputs`, or remove it.",
    ),
    CodeInfo(
        "hidden-output",
        "warn",
        "A statement hides an output of its block",
        "`@block.name` walks modules first, then outputs: where both have one name and are different tensors, no "
        "caller can read the output.",
        "blocks:\n"
        "  head:\n"
        "    net: {score: conv2d 4 1, best: sigmoid}\n"
        "    outputs: {score: best}\n"
        "net: {head: head}\n",
        "rename the output or the statement.",
    ),
    CodeInfo(
        "training-only",
        "error",
        "Evaluation needs a tensor that only training computes",
        "An output of a block marked `when: train` does not exist in evaluation; only statements on the way to outputs "
        "of the same kind may read it.",
        "blocks:\n"
        "  unit:\n"
        "    net: {body: relu @in, side: conv2d 4 1 @in}\n"
        "    outputs: {out: body, aux: {from: side, when: train}}\n"
        "net:\n"
        "  unit: unit\n"
        "  head: relu @unit.aux\n"
        "  out: conv2d 8 1 @unit.out\n"
        "outputs: {out: out, head: head}\n",
        "declare the output with `when: train` too, or take it off the block's.",
    ),
    CodeInfo(
        "unused-argument",
        "warn",
        "Nothing reads this argument",
        "No expression and no operator of the file, or of the block, names it, so giving it a value changes nothing.",
        "args: {width: 8}\nnet:\n  conv: conv2d 16 3\n",
        "use it, remove it, or say `# netc: ignore[unused-argument]` on its line.",
    ),
    CodeInfo(
        "unused-let",
        "warn",
        "Nothing reads this `let`",
        "No expression and no operator of the file, or of the block, names it.",
        "let: {width: 8}\nnet:\n  conv: conv2d 16 3\n",
        "use it, remove it, or say `# netc: ignore[unused-let]` on its line.",
    ),
    CodeInfo(
        "shape-mismatch",
        "error",
        "Sizes that must be equal are not",
        "Equal means provably equal for every value of the symbols.",
        "net:\n  a: conv2d 8 3 @image\n  b: conv2d 8 3 padding=1 @image\n  out: add @a @b\n",
        "change what computes one of the two sizes; the message says where each comes from.",
    ),
    CodeInfo(
        "rank-mismatch",
        "error",
        "A tensor has the wrong number of axes",
        "`conv2d` takes N×C×H×W, `conv1d` N×C×L, `linear` any with features last.",
        "net:\n  conv1: conv1d 8 3\n",
        "use the operator of this rank, or `flatten` or `unflatten` before it.",
    ),
    CodeInfo(
        "dtype-mismatch",
        "error",
        "A tensor has the wrong element type",
        "An embedding takes integers, a convolution floats.",
        "net:\n  words: embedding 100 8\n",
        "declare the input with `{shape: […], dtype: int64}`.",
    ),
    CodeInfo(
        "too-small",
        "error",
        "A window does not fit into its input",
        "The size that comes out would be zero or less.",
        "net:\n  conv1: conv2d 8 40\n",
        "take a smaller kernel, more padding or a larger input.",
    ),
    CodeInfo(
        "inexact-size",
        "ignore",
        "The stride does not divide the way of the window",
        "PyTorch rounds down, so the last step is cut short. Off by default: good networks do it.",
        "lint: {inexact-size: error}\nnet:\n  conv1: conv2d 8 3 stride=2 padding=1\n",
        "take one of the settings the message lists.",
    ),
    CodeInfo(
        "lost-input",
        "warn",
        "Rows of real input that no window ever sees",
        "The stride leaves a remainder that reaches beyond the padding.",
        "net:\n  conv1: conv2d 8 3 stride=2\n",
        "pad, or take one of the settings the message lists.",
    ),
    CodeInfo(
        "not-constant",
        "error",
        "A number is due where a symbolic size stands",
        "Weights and repeats have fixed sizes; they cannot depend on a symbol such as `h`.",
        "netc: 1\ninputs: {image: [N, 3, h, h]}\nnet: [flatten, linear 10]\n",
        "pool to a fixed size before it (`adaptive_avg_pool2d 1`), or fix the input's size.",
    ),
    CodeInfo(
        "absent-tensor",
        "error",
        "A tensor that is none here is needed",
        "`none` stands for no tensor. `add`, `mul`, `maximum`, `minimum`, `concat` and `stack` leave it out, "
        "`like=@a` counts as not given, and what is computed from none alone is none. Whatever else reads it together "
        "with other tensors needs it, and so does an output.",
        "args: {side: false}\nnet:\n  a: {if: side, do: relu @image, else: none}\n  out: sub @image @a\n",
        "put an `if` around what reads it, or let `else` name another tensor.",
    ),
    CodeInfo(
        "missing-else",
        "error",
        "A condition without `else` whose `do` names its inputs",
        "Without `else` a false condition passes its input through; with `@` it is unclear which that is.",
        "args: {wide: false}\nnet:\n  conv1: conv2d 8 3\n  extra: {if: wide, do: relu @conv1}\n",
        'add `else`, for example `else: "@conv1"`.',
    ),
    CodeInfo(
        "bad-arity",
        "error",
        "The wrong number of inputs",
        "Each operator and block says how many tensors it takes.",
        "net:\n  out: relu @image @image\n",
        "name as many tensors as it takes.",
    ),
    CodeInfo(
        "recursive-block",
        "error",
        "A block calls itself",
        "Each call would need another inside.",
        "blocks:\n  unit: {net: [relu, unit]}\nnet: unit\n",
        "repeat the block with `xN` or `for` instead.",
    ),
    CodeInfo(
        "import-cycle",
        "error",
        "A file imports itself, directly or through others",
        "Each file would need the other first.",
        "",
        "move what both need into a third file.",
    ),
    CodeInfo(
        "unknown-variant",
        "error",
        "The file has no such variant",
        "`FILE:VARIANT` selects one of those under `variants`.",
        "",
        "take one of those listed.",
    ),
    CodeInfo(
        "check-failed",
        "error",
        "An expression under `checks` does not hold",
        "The author of the file said it must.",
        "net:\n  conv1: conv2d 8 3\nchecks: [conv1.H == image.H]\n",
        "correct the network or the check.",
    ),
    CodeInfo(
        "pruned-import",
        "warn",
        "Parts of an imported file reach no output used here",
        "They are left out, and so are their weights.",
        "",
        "use the output, or import a file without it.",
    ),
    CodeInfo(
        "shadows-operator",
        "warn",
        "A block has the name of an operator",
        "The block is meant wherever the file says the name.",
        "blocks:\n  relu: {net: relu6}\nnet: relu\n",
        "rename the block, or set `lint: {shadows-operator: ignore}`.",
    ),
    CodeInfo(
        "untrainable",
        "warn",
        "The sizes are too small to train with",
        "Batch normalisation takes mean and variance of each channel over batch and space in training, and PyTorch"
        " refuses to take them of a single value. Evaluation uses the running statistics and works.",
        "netc: 1\ninputs: {vector: [1, 4]}\nnet: batch_norm1d\n",
        "let the batch have any size (`[N, 4]`) and train with 2 or more, or list the layer under `freeze`.",
    ),
    CodeInfo(
        "unknown-init",
        "error",
        "No initialisation has this name",
        "They are those of `torch.nn.init`, without the underscore, and `bilinear`, which makes upsampling.",
        "net:\n  conv1: conv2d 8 3\ninit: {conv2d: kaming_normal}\n",
        "take one of those listed.",
    ),
    CodeInfo(
        "unmatched-init",
        "error",
        "A rule under `init` matches no parameter",
        "It would silently do nothing.",
        "net:\n  conv1: conv2d 8 3\ninit: {linear: normal std=0.01}\n",
        "correct the operator or the path, or remove the rule.",
    ),
    CodeInfo(
        "unmatched-freeze",
        "error",
        "A path under `freeze` matches no module",
        "It would silently train.",
        "net:\n  conv1: conv2d 8 3\nfreeze: [stem]\n",
        "correct the path, or remove it.",
    ),
    CodeInfo(
        "shared-mismatch",
        "error",
        "A shared module is called with inputs that its weights do not fit",
        "Its weights exist once, so every call must need the same ones.",
        "shared: {head: conv2d 8 1}\nnet:\n  a: head @image\n  b: conv2d 4 1 @image\n  c: head @b\n  out: add @a @c\n",
        "call it with the same number of channels, or declare two.",
    ),
)
