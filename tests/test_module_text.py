"""How generated modules read: what a person would have written, kind by kind."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from module_judge import judge

import netc

CELLS = Path(__file__).parent / "modules/nasnet.yaml"
SPECS = Path(__file__).parent.parent / "specs"


def text_of(spec: str) -> str:
    """The classes of a module that is right."""
    assert judge(dedent(spec))
    return netc.load(dedent(spec)).to_torch()


def test_cells_of_a_search_read_as_sums_of_branches() -> None:
    text = netc.load(CELLS).to_torch()
    assert "        sum1 = self.left1(h0) + self.right1(h1)\n" in text
    assert "self.cell3 = Normal(8 * width, 12 * width, 2 * width)" in text
    assert judge(CELLS.read_text("utf-8"))


@pytest.mark.parametrize("given", ["", "min_size=2"])
def test_a_class_that_torch_lacks_has_the_options_that_are_given(given: str) -> None:
    text = text_of(f"""
        netc: 1
        name: best
        inputs: {{boxes: [N, 8, 4], scores: [N, 8]}}
        net: {{kept: "nms 3 0.5 {given} @boxes @scores"}}
        outputs: {{boxes: kept.indices}}
    """)
    assert ("min_size" in text) == bool(given)
    assert "  # if" not in text


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("", "", "samples = step.ceil()"),
        ("sampling_ratio=2", "sampling_ratio=3", "samples = self.sampling_ratio"),
        ("sampling_ratio=2", "", "if self.sampling_ratio > 0:"),
        ("sampling_ratio=2", "sampling_ratio=0", "if self.sampling_ratio > 0:"),
        ("sampling_ratio=2 aligned=true", "sampling_ratio=ratio", "if self.aligned else"),
        ("sampling_ratio=2", "sampling_ratio=ratio", "if self.sampling_ratio > 0:"),
    ],
)
def test_a_class_that_torch_lacks_has_the_lines_for_its_modules(first: str, second: str, said: str) -> None:
    text = text_of(f"""
        netc: 1
        name: crops
        args: {{ratio: 2}}
        inputs: {{image: [N, 3, 8, 8], boxes: [N, 2, 4]}}
        net:
          small: roi_align 2 {first} @image @boxes
          large: roi_align 3 {second} @image @boxes
        outputs: {{small: small, large: large}}
    """)
    assert said in text
    assert "  # if" not in text


def test_a_repeat_of_one_is_no_loop() -> None:
    text = text_of("""
        netc: 1
        name: once
        inputs: {image: [N, 4, 4*h, 4*w]}
        blocks: {unit: {args: c, net: [conv2d c 3 padding=1, relu]}}
        net: {layer1: [unit 4, unit 4 x1], layer2: [unit 8, unit 8 x3]}
    """)
    assert "self.layer1 = nn.Sequential(Unit(4), Unit(4))" in text.replace("Unit(4, 4)", "Unit(4)")
    assert "for _ in range(3)" in text
    assert "for _ in (0,)" not in text


def test_results_are_passed_on_by_their_names() -> None:
    text = text_of("""
        netc: 1
        name: pyramid
        inputs: {image: [N, 3, 8*h, 8*w]}
        blocks:
          body:
            net: {low: conv2d 4 3 padding=1 stride=2 @in, mid: conv2d 4 3 padding=1 stride=2, high: max_pool2d 2}
            outputs: {low: low, mid: mid, high: high}
          both: {net: {body: body @in}, outputs: {low: body.low, mid: body.mid, high: body.high}}
        net: {both: both @image}
        outputs: {low: both.low, mid: both.mid, high: both.high}
    """)
    assert "        return low, mid, high\n" in text
    assert "        return self.body(x)\n" in text
    assert "        low, mid, high = self.both(image)\n        return PyramidOutput(low, mid, high)\n" in text


def test_heads_are_called_where_they_are_returned() -> None:
    text = text_of("""
        netc: 1
        name: heads
        inputs: {image: [N, 3, 8*h, 8*w]}
        blocks:
          head:
            net: {conv: conv2d 8 3 padding=1, logits: conv2d 3 1 @conv, offsets: conv2d 12 1 @conv}
            outputs: {logits: logits, offsets: offsets}
        net: {head: head @image}
        outputs: {logits: head.logits, offsets: head.offsets}
    """)
    assert "        return self.logits(x), self.offsets(x)\n" in text
    assert "        return HeadsOutput(logits, offsets)\n" in text


def test_what_evaluation_computes_anyway_is_returned_in_evaluation_by_classes_within() -> None:
    text = text_of("""
        netc: 1
        name: auxiliary
        inputs: {image: [N, 3, 8*h, 8*w]}
        blocks:
          head:
            net: {conv: conv2d 8 3 padding=1, logits: conv2d 3 1 @conv, soft: softmax 1 @logits, side: conv2d 2 1 @conv}
            outputs: {soft: soft, logits: {from: logits, when: train}, side: {from: side, when: train}}
        net: {head: head @image}
        outputs: {soft: head.soft, logits: {from: head.logits, when: train}, side: {from: head.side, when: train}}
    """)
    assert "def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:" in text
    assert "        return soft, logits, side\n" in text
    assert "    soft: Tensor\n    logits: Tensor\n    side: Tensor | None\n" in text


def test_training_stands_in_one_place() -> None:
    text = text_of("""
        netc: 1
        name: auxiliary
        inputs: {image: [N, 3, 8*h, 8*w]}
        net:
          stem: [conv2d 4 3 padding=1 stride=2 @image, relu]
          side: [conv2d 4 1 @stem, relu]
          logits: [mean (2 3) @stem, linear 5]
          pooled: mean (2 3) @side
          aux: linear 5 @pooled
        outputs: {logits: logits, aux: {from: aux, when: train}}
    """)
    assert text.count("if self.training:") == 1
    assert "(logits, aux)" in text
    assert "            assert side is not None\n            aux = self.aux(side.mean((2, 3)))\n" in text


def test_the_larger_of_two_is_max() -> None:
    """Of equals each form gives the one that the choice gives, which shows where one is a fraction."""
    text = text_of("""
        netc: 1
        name: larger
        args: {n: 6, s: 2}
        inputs: {image: [N, 3, 8*h, 8*w]}
        net:
          a: [conv2d (n if n > 4 else 4) 1 @image, mul (s if s < 0.5 else 0.5)]
          b: [conv2d (3 if n < 3 else n) 1, mul (s if s >= 2.0 else 2.0)]
          c: [conv2d (n if n <= 9 else 9) 1, conv2d (n if n > n else n) 1, conv2d (9 if n > 4 else 4) 1]
    """)
    assert all(said in text for said in ("max(4, n)", "min(0.5, s)", "max(n, 3)", "max(s, 2.0)", "min(n, 9)"))
    assert text.count(" if ") == text.count("9 if n > 4 else 4") > 0


def test_imports_are_what_code_names() -> None:
    text = text_of("""
        netc: 1
        name: words
        doc: A Tensor of torch.nn and math.pi.
        inputs: {image: [N, 8]}
        net: [linear 4 @image, relu, linear 3]
    """)
    assert [line for line in text.splitlines() if "import" in line] == ["from torch import nn"]


FAN = """
    netc: 1
    name: fan
    args: {levels: [[0, 4], [1, 6], [2, 4]], classes: 3}
    inputs: {image: [N, 3, 8*h, 8*w]}
    blocks:
      trunk: {net: {map$i: {for: {i: 0..2}, do: [conv2d 4*(i+1) 3 stride=2 padding=1, relu]}}}
      decode: {args: scale, net: {flat: [flatten 2, mean 2], scaled: mul scale}}
    net:
      trunk: trunk @image
      head.scores.layers.$i: {for: {i kinds: levels}, do: conv2d kinds*classes 1 @trunk.map$i}
      head.boxes.layers.$i: {for: {i kinds: levels}, do: conv2d kinds*4 1 @trunk.map$i}
      flat$i: {for: {i kinds: levels}, do: [flatten 2 @head.scores.layers.$i, mean 2]}
      sizes$i: {for: {i kinds: levels}, do: [flatten 2 @head.boxes.layers.$i, mean 2]}
      scores: concat @flat$(0..2)
      boxes: concat @sizes$(0..2)
    outputs: {scores: scores, boxes: boxes}
"""


def test_heads_of_levels_are_classes_that_take_and_give_lists() -> None:
    text = text_of(FAN)
    assert "ModuleDict" not in text
    assert "def forward(self, inputs: list[Tensor]) -> list[Tensor]:\n" in text
    assert "        return [layer(x) for x, layer in zip(inputs, self.layers)]\n" in text
    assert "def __init__(self, classes: int) -> None:" in text
    assert "for box in all_boxes" in text


def test_loops_that_follow_one_another_are_one() -> None:
    text = text_of("""
        netc: 1
        name: levels
        inputs: {image: [N, 4, 8*h, 8*w]}
        blocks:
          head: {net: {score: conv2d 2 1 @in, box: conv2d 4 1 @in}, outputs: {score: score, box: box}}
          decode:
            inputs: [score, box]
            net: {grown: conv2d 2 1 @box, sum: add @score @grown, out: [flatten 2, mean 2]}
        shared: {rate: head}
        net:
          map0: max_pool2d 2 @image
          map$i: {for: {i: 1..2}, do: max_pool2d 2 @map$(i-1)}
          said$i: {for: {i: 0..2}, do: rate @map$i}
          decoded$i: {for: {i: 0..2}, do: decode @said$i.score @said$i.box}
          out: concat @decoded$(0..2)
    """)
    assert text.count("        for ") == 1
    assert "score, box = self.rate(" in text


def test_members_that_differ_in_numbers_are_made_by_a_loop() -> None:
    text = text_of("""
        netc: 1
        name: laterals
        inputs: {a: [N, 2, h, w], b: [N, 3, h, w], c: [N, 4, h, w]}
        net:
          inner.0: [conv2d 4 1 @a, relu]
          inner.1: [conv2d 4 1 @b, relu]
          inner.2: [conv2d 4 1 @c, relu]
          low: add @inner.0 @inner.1
          out: add @low @inner.2
    """)
    assert "for channels in (2, 3, 4)" in text
    assert text.count("nn.Conv2d(") == 1


@pytest.mark.parametrize("axis", ["c", "c+1"])
def test_sizes_in_comments_bind_as_written(axis: str) -> None:
    text = text_of(f"""
        netc: 1
        name: sizes
        args: {{c: 4}}
        inputs: {{image: [N, 3, 4*h, 4*w]}}
        net: {{conv: conv2d {axis} 3 padding=1, pool: max_pool2d 2, out: conv2d 2 1}}
        outputs: {{pool: pool, out: out}}
    """)
    assert "((" not in text.split("super().__init__()")[0].split("class Sizes(")[1]
    assert ("N×(c + 1)×" in text) is (axis == "c+1")
    assert ("[N, c + 1, 2·h, 2·w]" in text) is (axis == "c+1")


def test_names_of_results_hide_no_method_of_their_tuple() -> None:
    text = text_of("""
        netc: 1
        name: counting
        inputs: {image: [N, 3]}
        net: {count: linear 2 @image, index: linear 3 @count}
        outputs: {count: count, index: index}
    """)
    assert "    count_: Tensor\n    index_: Tensor\n" in text


def test_layers_of_two_kinds_are_typed_before() -> None:
    text = text_of("""
        netc: 1
        name: skips
        inputs: {image: [N, 4, 4*h, 4*w]}
        blocks:
          unit:
            args: c
            net:
              conv: conv2d c 3 padding=1 @in
              skip: {if: in.C != c, do: conv2d c 1 @in, else: "@in"}
              out: add @conv @skip
        net: {one: unit 4, two: unit 8}
    """)
    assert "self.skip: nn.Module = nn.Identity()\n        if c != 4:\n" in text


def test_numbered_tensors_travel_as_one_list() -> None:
    """`tests/test_random_modules.py` has the same file's values."""
    text = netc.load(CELLS.with_name("lists_of_tensors.yaml")).to_torch()
    assert "    def forward(self, image: Tensor, maps: list[Tensor]) -> tuple[Tensor, Tensor]:\n" in text
    assert "        scores = [layer(x) for x, layer in zip(maps, self.score)]\n" in text
    assert "        sums = [sides[2]]\n        for side in sides[1::-1]:\n            sums.append(side + " in text
    assert "        return [layer(x) for x, layer in zip(sums[::-1], self.level)]\n" in text
    assert "        return [*layer_blocks, self.pool(layer_blocks[3])]\n" in text
    assert "    def forward(self, b0: Tensor, b1: Tensor, b2: Tensor) -> Tensor:\n" in text


def test_results_are_a_list_in_the_order_in_which_they_are_read() -> None:
    text = text_of("""
        netc: 1
        name: ordered
        inputs: {image: [N, 3, 8*h, 8*w]}
        blocks:
          trunk:
            net:
              part.$i: {for: {i: 0..2}, do: [max_pool2d 2, conv2d 4*i+4 1]}
              map$i: {for: {i: 0..2}, do: "@part.$i"}
        net:
          trunk: trunk @image
          means$i: {for: {i: 0..2}, do: adaptive_avg_pool2d 1 @trunk.map$i}
          all: concat @means$(0..2)
        outputs: {all: all}
    """)
    assert "    def forward(self, x: Tensor) -> list[Tensor]:\n" in text
    assert "= self.trunk(image)\n" in text


def test_loops_within_loops_carry_their_channels() -> None:
    text = text_of("""
        netc: 1
        name: nested
        inputs: {image: [N, 3, 8*h, 8*w]}
        net:
          features:
            - for: {i: 0..3}
              do:
                - {if: i > 0, do: max_pool2d 2}
                - for: {k: "1..(1 if i < 2 else 2)"}
                  do: [conv2d 3*2**i 3 padding=1, relu]
        outputs: {features: features}
    """)
    assert "            for _ in range(1 if i < 2 else 2):\n" in text
    assert "                channels = 3 * 2**i\n" in text
    assert text.count("nn.Conv2d(") == 1


def test_every_module_of_a_list_is_called_in_one_expression() -> None:
    text = text_of("""
        netc: 1
        name: pyramid
        import: {aspp: netc:aspp}
        inputs: {image: [N, 3, 8*h, 8*w]}
        net: [aspp 4 rates=(2 3 4)]
    """)
    assert "        convs = [layer(x) for layer in self.convs]\n" in text
    assert "                    for padding in (2, 3, 4)\n" in text


def test_a_number_beside_a_tensor_is_an_operand() -> None:
    text = text_of("""
        netc: 1
        name: operands
        args: {width: 3, shift: 1}
        inputs: {image: [N, 3, h]}
        net:
          scaled: [mul width-1 @image, sub (width if shift > 0 else 2)]
          whole: ["mul 1 @scaled", add 0.5]
          turned: [rsub (1 if shift > 0 else width), select 1 -1]
          last: sub -1 @scaled
        outputs: {turned: turned, last: last}
    """)
    assert "scaled = image * (self.width - 1) - (self.width if self.shift > 0 else 2)" in text
    assert "turned = ((1 if self.shift > 0 else self.width) - (scaled + 0.5))[:, -1]" in text
    assert "last = scaled - -1" in text


def test_conditions_that_a_literal_decides_are_gone() -> None:
    text = text_of("""
        netc: 1
        name: decided
        inputs: {image: [N, 3, h, w]}
        blocks:
          unit:
            args: width stride=1
            net:
              conv: conv2d width 3 padding=1 @in
              skip: {if: stride != 1 or in.C != width, do: conv2d width 1 @in, else: "@in"}
              out: add @conv @skip
        net: [unit 4, unit 4]
    """)
    assert "        if in_channels != 4:\n" in text


def test_slices_have_the_spaces_that_ruff_gives_them() -> None:
    text = text_of("""
        netc: 1
        name: sliced
        args: {k: 2, s: 1}
        inputs: {image: [N, 8, 8, 8]}
        net: {a: slice 1 0 k @image, b: slice 2 s k+4 2 @image, c: slice 3 1 -1 @image, d: slice 3 s step=k @image}
        outputs: {a: a, b: b, c: c, d: d}
    """)
    assert "= image[:, : self.k]" in text
    assert "= image[:, :, self.s : self.k + 4 : 2]" in text
    assert "= image[:, :, :, 1:-1]" in text
    assert "= image[:, :, :, self.s :: self.k]" in text


def test_what_a_condition_passes_on_hangs_on_it_only_where_the_condition_is_read() -> None:
    text = text_of("""
        netc: 1
        name: deformed
        args: {first: 2}
        inputs: {image: [N, 4, 8*h, 8*w]}
        blocks:
          unit:
            args: width deform=false
            net:
              relu1: [conv2d width 1, relu]
              offset: {if: deform, do: conv2d 18 3 padding=1 @relu1, else: "@relu1"}
              conv2:
                if: deform
                do: deform_conv2d width 3 padding=1 @relu1 @offset
                else: conv2d width 3 padding=1 @relu1
        net:
          layer$i: {for: {i: 1..2}, do: unit 4*i deform=(i >= first)}
        outputs: {y: layer2}
    """)
    assert "def __init__(self, first: int = 2) -> None:" in text
    assert "deform=first <= 1" in text


def test_what_is_split_is_one_variable() -> None:
    text = text_of("""
        netc: 1
        name: gate
        inputs: {image: [N, 6, h, w]}
        net: {halves: split 3 dim=1 @image, gate: sigmoid @halves.1, y: mul @halves.0 @gate}
        outputs: {y: y}
    """)
    assert "halves = image.split(3, 1)" in text
    assert "return halves[0] * halves[1].sigmoid()" in text


def test_whole_numbers_in_a_row_are_made_where_the_inputs_are() -> None:
    text = text_of("""
        netc: 1
        name: places
        args: {length: 5}
        inputs: {words: [N, 4, length]}
        blocks: {places: {args: n, inputs: [], net: {row: arange 0 n}}}
        net: {column: arange 0 length, row: places length, both: [mul @column @row, cast float32], y: add @words @both}
        outputs: {y: y}
    """)
    assert "torch.arange(self.length, device=words.device)" in text
    assert text.count("constant_device()") == 2


def test_a_class_for_the_blocks_with_a_switch_on_is_named_after_it() -> None:
    text = text_of("""
        netc: 1
        name: pair
        inputs: {image: [N, 4, 4*h, 4*w]}
        blocks:
          unit:
            args: width gated=false
            net:
              parts.map: conv2d width 3 padding=1 @in
              parts.gate: {if: gated, do: [conv2d width 3 padding=1 @in, sigmoid], else: "@parts.map"}
              out: {if: gated, do: mul @parts.map @parts.gate, else: "@parts.map"}
        net: {a: unit 4, b: unit 4 gated=true}
        outputs: {y: b}
    """)
    assert "self.b = UnitGated(" in text


def test_a_block_that_another_file_has_with_more_arguments_is_its_class(tmp_path: Path) -> None:
    unit = "{args: width size=3 stride=1, net: {conv: conv2d width size stride=stride padding=size//2, act: relu}}"
    case = "{args: width size=3, net: {conv: conv2d width size padding=size//2, act: relu}}"
    (tmp_path / "trunk.yaml").write_text(
        f"netc: 1\nname: trunk\ninputs: {{image: [N, 3, 4*h, 4*w]}}\nblocks: {{unit: {unit}}}\n"
        "net: {stem: unit 4 stride=2, body: unit 8 1}\n"
    )
    (tmp_path / "whole.yaml").write_text(f"""
        netc: 1
        name: whole
        import: {{trunk: trunk.yaml}}
        inputs: {{image: [N, 3, 4*h, 4*w]}}
        blocks:
          conv_block: {case}
          other: {{args: width size=5, net: {{conv: conv2d width size padding=size//2, act: relu}}}}
        net: {{body: trunk @image, one: conv_block 4, two: conv_block 8 1, three: other 4, four: other 8 1}}
    """)
    text = netc.load(tmp_path / "whole.yaml").to_torch()
    assert "class ConvBlock" not in text
    assert "        self.two = Unit(4, 8, size=1)\n" in text
    assert "        self.three = Other(8, 4)\n        self.four = Other(4, 8, size=1)\n" in text
    assert judge(tmp_path / "whole.yaml")


def test_a_condition_is_said_by_the_number_that_forward_keeps_anyway() -> None:
    text = text_of("""
        netc: 1
        name: rolls
        inputs: {image: [N, 3, 8, 8]}
        blocks:
          turned:
            args: shift
            net:
              there: {if: shift > 0, do: roll (-shift -shift) (2 3)}
              conv: conv2d 3 1
              back: {if: shift > 0, do: roll (shift shift) (2 3)}
        net: {a: turned 0 @image, b: turned 2}
    """)
    assert "x.roll((-self.shift, -self.shift), (2, 3)) if self.shift > 0 else x" in text
    assert "has_" not in text


def test_a_chain_that_only_looks_at_a_tensor_is_no_module() -> None:
    text = text_of("""
        netc: 1
        name: views
        inputs: {image: [N, 3, 8, 8]}
        net: {conv: conv2d 4 3 padding=1, flat: [flatten 2 3, flatten 1 2], fc: linear 5}
    """)
    assert "x = self.conv(image).flatten(2, 3).flatten(1, 2)" in text


def test_parts_of_a_tensor_keep_the_sizes_that_were_said() -> None:
    text = text_of("""
        netc: 1
        name: attends
        inputs: {tokens: [N, 6, 12]}
        blocks:
          attention:
            args: width heads
            net:
              qkv: [linear 3*width, unflatten 2 (3 heads width//heads), permute (2 0 3 1 4)]
              parts: unbind 0
              attended: scaled_dot_product_attention @parts.0 @parts.1 @parts.2
              joined: [transpose 1 2, flatten 2]
              proj: linear width
        net: {a: attention 12 3 @tokens, b: attention 8 2}
    """)
    assert "self.proj = nn.Linear(heads * (width // heads), width)" in text
    assert "scaled_dot_product_attention(parts[0], parts[1], parts[2])" in text


@pytest.mark.parametrize(("mode", "said"), [("row", "StochasticDepth(0.1)"), ("batch", 'mode="batch"')])
def test_samples_are_dropped_without_a_word_for_it(mode: str, said: str) -> None:
    text = text_of(f"""
        netc: 1
        name: dropped
        inputs: {{image: [N, 3, 8, 8]}}
        net: {{conv: conv2d 3 1 @image, drop: stochastic_depth 0.1 {mode}, out: add @image @drop}}
    """)
    assert said in text
    assert ("self.mode" in text) == (mode == "batch")


def test_modules_of_a_list_that_a_loop_makes_are_made_by_it() -> None:
    text = text_of("""
        netc: 1
        name: extras
        args: {levels: [[1, 8, 2, 1], [2, 4, 2, 1], [3, 4, 1, 0], [4, 6, 1, 0]]}
        inputs: {image: [N, 3, 64, 64]}
        net:
          extra.0: [conv2d 4 3 padding=1, max_pool2d 2, relu]
          extra.$i:
            for: {i width stride padding: levels}
            do: [conv2d width 1 @extra.$(i-1), relu, conv2d 2*width 3 stride=stride padding=padding, relu]
        outputs: {a: extra.2, b: extra.4}
    """)
    assert "for width, stride, padding, channels in zip(" in text
    assert "nn.Conv2d(width, 2 * width, 3, stride=stride, padding=padding)" in text


def test_results_of_evaluation_are_named_once_where_training_has_many_more() -> None:
    text = text_of("""
        netc: 1
        name: wordy
        inputs: {image: [N, 3, 8, 8]}
        net:
          stem: conv2d 8 3 padding=1 @image
          classification: conv2d 2 1 @stem
          regression: conv2d 4 1 @stem
          centreness: conv2d 1 1 @stem
          auxiliary: conv2d 3 1 @stem
        outputs:
          classification: classification
          regression: regression
          centreness: centreness
          auxiliary: {from: auxiliary, when: train}
    """)
    assert "        result = WordyOutput(classification, regression, centreness)\n" in text
    assert "            return WordyTrainingOutput(*result, auxiliary)\n        return result\n" in text


def test_parts_that_are_the_same_are_one_class_and_others_are_named_after_what_they_have() -> None:
    text = text_of("""
        netc: 1
        name: encoders
        args: {depths: [2, 2, 3, 3]}
        inputs: {image: [N, 3, 16*h, 16*w]}
        blocks: {enc: {args: width, net: [conv2d width 3 padding=1, relu]}}
        net:
          enc$i:
            for: {i: 1..4}
            do: {convs: "enc 4*i x(depths[i-1])", drop: {if: i == 4, do: dropout 0.5}, pool: max_pool2d 2 @drop}
        outputs: {a: enc1.convs, b: enc2.convs, c: enc3.convs, d: enc4.drop, e: enc4}
    """)
    assert "class EncStage(nn.Module):" in text
    assert "class EncWithDrop(nn.Module):" in text
    assert "Enc2" not in text
    assert "def __init__(self, in_channels: int, repeats: int" in text


def test_what_expressions_stand_between_has_the_keys_of_its_numbers() -> None:
    text = text_of("""
        netc: 1
        name: siamese
        inputs: {left: [N, 6], right: [N, 6]}
        shared: {embed: [linear 8, relu, linear 4]}
        net: {a: embed @left, b: embed @right, distance: [sub @a @b, abs, linear 1, sigmoid]}
    """)
    assert '        super().__init__({"2": nn.Linear(4, 1)})\n' in text
    assert 'return self["2"]((in0 - in1).abs()).sigmoid()' in text
    assert "Identity" not in text


def test_a_variable_that_loops_hand_on_is_set_once() -> None:
    text = netc.load(SPECS / "vgg.yaml", variant="vgg16").to_torch()
    assert text.count("channels = 256\n") == text.count("channels = 512\n") == 1


def test_members_that_count_are_made_by_a_comprehension() -> None:
    text = text_of("""
        netc: 1
        name: counted
        inputs: {image: [N, 4, 8, 8]}
        blocks:
          unit: {args: width i, net: {conv: conv2d width 1 @in, kept: dropout i/10, out: add @in @kept}}
          down: {args: width, net: [conv2d width 3 padding=1, relu]}
        net:
          first: [unit 4 0, unit 4 1, unit 4 2, unit 4 4]
          second: [down 4, down 4, down 4, down 5]
          third: {do: {a1: down 5, a2: down 5, a3: down 5, b: down 5, c07: down 5, c08: down 5, c09: down 5}}
    """)
    assert "self.first = nn.Sequential(*(Unit(i) for i in range(3)), Unit(4))" in text
    assert "self.second = nn.Sequential(*(Down(4, 4) for _ in range(3)), Down(4, 5))" in text
    assert '*((f"a{i}", Down(5, 5)) for i in range(1, 4)),' in text
    assert '("c07", Down(5, 5)),' in text


def test_a_list_that_one_call_makes_for_the_next_has_no_name() -> None:
    text = text_of("""
        netc: 1
        name: pyramid
        inputs: {image: [N, 3, 8*h, 8*w]}
        blocks:
          body:
            net: {c$i: {for: {i: 1..3}, do: [conv2d 4 3 padding=1 stride=2, relu]}}
            outputs: {c1: c1, c2: c2, c3: c3}
          neck:
            inputs: [c1, c2, c3]
            net: {laterals.$i: {for: {i: 0..2}, do: "conv2d 8 1 @c$(i+1)"}}
            outputs: {p1: laterals.0, p2: laterals.1, p3: laterals.2}
          backbone:
            net: {body: body @in, neck: neck @body.c1 @body.c2 @body.c3}
            outputs: {p1: neck.p1, p2: neck.p2, p3: neck.p3}
        net: {backbone: backbone @image}
        outputs: {p1: backbone.p1, p2: backbone.p2, p3: backbone.p3}
    """)
    assert "        return self.neck(self.body(x))\n" in text
