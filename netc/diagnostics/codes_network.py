"""What can be wrong with the network that a spec describes."""

from __future__ import annotations

from netc.diagnostics.code_info import CodeInfo

NETWORK_CODES = (
    CodeInfo(
        "too-much-work",
        "error",
        "Checking a spec takes more steps than allowed",
        "Work is counted in steps of about a microsecond. A spec and all its imports may take 3,000,000, so no "
        "spec can hang the machine or fill its memory. A network of 10,000 layers, no two alike, takes fewer.",
        "net:\n  a: {for: {i: 1..9000}, do: relu x9000}\n",
        "write what repeats as a block, called with the same arguments. For a large network that you trust, raise "
        "the limit: `--limit 30M` (`netc.load(…, limit=30_000_000)` in Python).",
    ),
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
        "use one of the arguments listed.",
    ),
    CodeInfo(
        "missing-argument",
        "error",
        "A required argument is missing",
        "The operator or block cannot be built without it.",
        "net:\n  conv1: conv2d 8\n",
        "give it, by position or by name.",
    ),
    CodeInfo(
        "bad-argument",
        "error",
        "An invalid value for an argument",
        "It has the wrong kind, or the operator does not allow it.",
        "net:\n  conv1: conv2d 8 3 stride=0\n",
        "use a value that the message allows.",
    ),
    CodeInfo(
        "unknown-name",
        "error",
        "An unknown name",
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
        "Two statements read one tensor, and one of them does so implicitly",
        "A statement without `@` reads the one before it. When another reads the same tensor, a forgotten `@` is "
        "likely, so both must name it.",
        "net:\n  a: conv2d 8 3 padding=1\n  b: conv2d 8 3 padding=1\n  out: add @a @b\n",
        "name the tensor with `@` in both.",
    ),
    CodeInfo(
        "unused-statement",
        "error",
        "A statement reaches no output",
        "Everything that is computed must reach a declared output.",
        "net:\n  head: conv2d 8 3 @image\n  out: conv2d 4 1 @image\n",
        "use it, declare it under `outputs`, or remove it.",
    ),
    CodeInfo(
        "hidden-output",
        "warn",
        "A statement hides an output of its block",
        "`@block.name` walks modules first, then outputs: where both have the same name but are different tensors, no "
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
        "Evaluation needs a tensor that is only computed in training",
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
        "declare the output with `when: train` too, or remove it from the block's output.",
    ),
    CodeInfo(
        "unused-argument",
        "warn",
        "An unused argument",
        "No expression and no operator of the file, or of the block, uses it, so its value changes nothing.",
        "args: {width: 8}\nnet:\n  conv: conv2d 16 3\n",
        "use it, remove it, or write `# netc: ignore[unused-argument]` on its line.",
    ),
    CodeInfo(
        "unused-let",
        "warn",
        "An unused `let`",
        "No expression and no operator of the file, or of the block, uses it.",
        "let: {width: 8}\nnet:\n  conv: conv2d 16 3\n",
        "use it, remove it, or write `# netc: ignore[unused-let]` on its line.",
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
        "The output would have a size of zero or less.",
        "net:\n  conv1: conv2d 8 40\n",
        "use a smaller kernel, more padding or a larger input.",
    ),
    CodeInfo(
        "inexact-size",
        "ignore",
        "The stride leaves a remainder",
        "PyTorch rounds down, so the last elements do not fill a window. Off by default: many good networks do this.",
        "lint: {inexact-size: error}\nnet:\n  conv1: conv2d 8 3 stride=2 padding=1\n",
        "use one of the settings that the message lists.",
    ),
    CodeInfo(
        "lost-input",
        "warn",
        "Rows of the input that no window covers",
        "The stride leaves a remainder that reaches beyond the padding.",
        "net:\n  conv1: conv2d 8 3 stride=2\n",
        "pad, or use one of the settings that the message lists.",
    ),
    CodeInfo(
        "missing-flatten",
        "warn",
        "A linear layer on a tensor that still has image axes",
        "`linear` maps the last axis. After a convolution or a pool that is the width of the image, so each row is "
        "mapped on its own; usually a `flatten` is missing before it.",
        "net: [conv2d 8 3, max_pool2d 2, linear 10]\n",
        "put `flatten` before it, or write `# netc: ignore[missing-flatten]` if each row is meant.",
    ),
    CodeInfo(
        "mixes-samples",
        "warn",
        "An operator runs over the axis that holds the batch",
        "The result for one sample depends on the others in its batch. The batch axis is the one of size `N`, or `B` "
        "where there is one.",
        "net: [flatten, linear 10, softmax 0]\n",
        "use another axis, or `batch_first=true` for sequences, or write `# netc: ignore[mixes-samples]`.",
    ),
    CodeInfo(
        "double-softmax",
        "warn",
        "A softmax of a softmax",
        "The second one makes all probabilities nearly equal. Losses such as `nn.CrossEntropyLoss` apply their own, so "
        "an output called `logits` has none.",
        "net: [flatten, linear 10, softmax 1, softmax 1]\n",
        "leave one of them out; train on the logits, and export with `--softmax` if the file should have it.",
    ),
    CodeInfo(
        "channels-last",
        "warn",
        "A convolution that takes the rows of an image as its channels",
        "PyTorch's images are N×C×H×W; TensorFlow's are N×H×W×C.",
        "netc: 1\ninputs: {image: [N, 224, 224, 3]}\nnet: conv2d 64 3\n",
        "declare the input as `[N, 3, 224, 224]`, or `permute (0 3 1 2)` it first.",
    ),
    CodeInfo(
        "inferred-argument",
        "warn",
        "An argument taken for another",
        "PyTorch's classes take `in_channels` or `num_features` first; here these follow from the input, so the "
        "numbers that come next are taken for other arguments.",
        "net: [conv2d 64 3, batch_norm2d 64]\n",
        "leave out what follows from the input: `conv2d 64 3`, `batch_norm2d`.",
    ),
    CodeInfo(
        "no-activation",
        "ignore",
        "A linear layer right after another",
        "Without an activation between them, the two are equivalent to one. Off by default: factorised layers do this.",
        "lint: {no-activation: warn}\nnet: [flatten, linear 64, linear 10]\n",
        "put an activation between them, or leave one out.",
    ),
    CodeInfo(
        "activated-logits",
        "ignore",
        "An output called logits that goes through an activation",
        "Logits may be any number, and cutting them off keeps a network from learning. Off by default.",
        "lint: {activated-logits: warn}\nnet: {fc: [flatten, linear 10, relu]}\noutputs: {logits: fc}\n",
        "return what goes into the activation.",
    ),
    CodeInfo(
        "redundant-bias",
        "ignore",
        "A bias in front of a batch norm",
        "A batch norm subtracts the mean, and the bias with it, and has its own offset. Off by default.",
        "lint: {redundant-bias: warn}\nnet: [conv2d 8 3, batch_norm2d]\n",
        "write `bias=false`.",
    ),
    CodeInfo(
        "not-constant",
        "error",
        "A symbolic size where a number is needed",
        "Weights and repeats have fixed sizes; they cannot depend on a symbol such as `h`.",
        "netc: 1\ninputs: {image: [N, 3, h, h]}\nnet: [flatten, linear 10]\n",
        "pool to a fixed size before it (`adaptive_avg_pool2d 1`), or fix the input's size.",
    ),
    CodeInfo(
        "absent-tensor",
        "error",
        "A tensor is needed that is none here",
        "`none` stands for no tensor. `add`, `mul`, `maximum`, `minimum`, `concat` and `stack` leave it out, "
        "`like=@a` counts as not given, and a statement that reads nothing else is none, too. Any other "
        "statement that reads it, and any output, needs a tensor.",
        "args: {side: false}\nnet:\n  a: {if: side, do: relu @image, else: none}\n  out: sub @image @a\n",
        "put an `if` around what reads it, or let `else` name another tensor.",
    ),
    CodeInfo(
        "missing-else",
        "error",
        "A condition that names its inputs and has no `else`",
        "Without `else` a false condition passes its input through; with `@` it is unclear which that is.",
        "args: {wide: false}\nnet:\n  conv1: conv2d 8 3\n  extra: {if: wide, do: relu @conv1}\n",
        'add `else`, for example `else: "@conv1"`.',
    ),
    CodeInfo(
        "bad-arity",
        "error",
        "The wrong number of inputs",
        "Each operator and block takes a certain number of tensors.",
        "net:\n  out: relu @image @image\n",
        "give it as many tensors as it takes.",
    ),
    CodeInfo(
        "recursive-block",
        "error",
        "A block calls itself",
        "Each call would contain another.",
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
        "use one of those listed.",
    ),
    CodeInfo(
        "check-failed",
        "error",
        "An expression under `checks` does not hold",
        "The author of the file or block said it must. What a block or an imported file asks of arguments and inputs "
        "is reported at the line that uses it.",
        "net:\n  conv1: conv2d 8 3\nchecks: [conv1.H == image.H]\n",
        "give what the check asks for, or correct the check.",
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
        "Wherever the file uses the name, it means the block.",
        "blocks:\n  relu: {net: relu6}\nnet: relu\n",
        "rename the block, or set `lint: {shadows-operator: ignore}`.",
    ),
    CodeInfo(
        "untrainable",
        "warn",
        "The sizes are too small to train with",
        "In training, batch normalisation computes mean and variance of each channel over batch and space, and "
        "PyTorch refuses to do so for a single value. Evaluation uses the running statistics and works.",
        "netc: 1\ninputs: {vector: [1, 4]}\nnet: batch_norm1d\n",
        "let the batch have any size (`[N, 4]`) and train with 2 or more, or list the layer under `freeze`.",
    ),
    CodeInfo(
        "unknown-init",
        "error",
        "Unknown initialiser",
        "The initialisers are those of `torch.nn.init` without the underscore, and `bilinear` for upsampling.",
        "net:\n  conv1: conv2d 8 3\ninit: {conv2d: kaming_normal}\n",
        "use one of those listed.",
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
        "unmatched-group",
        "error",
        "A path under `groups` of `train` matches no module",
        "A group of the optimiser is named by the path of a module with parameters, or by a glob over such paths.",
        "net:\n  conv1: conv2d 8 3\ntrain: {optimizer: sgd lr=0.1, epochs: 9, groups: {stem: {lr: 0.01}}}\n",
        "use a path that `netc summary` lists.",
    ),
    CodeInfo(
        "unmatched-freeze",
        "error",
        "A path under `freeze` matches no module",
        "The module would be trained silently.",
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
