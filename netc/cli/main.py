"""The `netc` command: finds the subcommand, and turns every error of a user into a diagnostic and exit code 1."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable
from importlib import import_module
from itertools import islice
from math import inf
from types import FrameType
from typing import Any

import click
from click.shell_completion import CompletionItem

from netc import __version__
from netc.cli import INTERRUPTED
from netc.cli.guard import isolating
from netc.cli.terminal import print_diagnostics
from netc.diagnostics.model import Diagnostic, NetcError
from netc.files import protected_inputs
from netc.libraries import missing
from netc.ops.records import Unsupported

COMMANDS = {
    "check": "Check specs and report what is wrong with them.",
    "new": "Start a spec from a small network that works.",
    "fmt": "Format specs: one layout, comments kept.",
    "expand": "Print a spec in the long form, with every default and every size.",
    "lsp": "Serve an editor: findings, sizes, completions and more as you type.",
    "watch": "Show picture, summary and findings in the browser, updated whenever the spec is saved.",
    "schema": "Print the language as a JSON Schema, for editors.",
    "summary": "Tabulate layers, shapes, parameters, MACs and receptive fields.",
    "build": "Write module, weights, ONNX file, picture and summary into one directory.",
    "torch": "Write a network as a PyTorch module.",
    "train-script": "Write a script that trains a network as its spec says.",
    "onnx": "Write a network as an ONNX file, with weights.",
    "optimize": "Make an ONNX file smaller and faster, comparing every step with the original.",
    "import": "Convert a network of another tool to a short spec and its weights, and compare both.",
    "diagram": "Draw a network.",
    "diff": "Compare two networks, and draw their differences.",
    "weights": "Make, list and check weight files.",
    "run": "Run an ONNX file or a spec in onnxruntime.",
    "verify": "Compare PyTorch and ONNX, or two ONNX files, on the same weights and input.",
    "bench": "Benchmark a network against PyTorch and other files.",
    "sweep": "Measure a network for many values of its arguments.",
    "solve": "Find the best arguments or input sizes under a condition.",
    "ops": "List the operators, or describe one.",
    "library": "List the blocks that come with netc, or print one.",
    "doctor": "Show which optional parts are installed, and how to install the rest.",
    "explain": "Explain a layer with formulas and numbers, or a diagnostic code.",
    "conv": "Explain a convolution or a pool, without a spec.",
}


PRESSED_AGAIN = 0.5
"""Seconds after Ctrl-C in which another counts for nothing, so that it does not break off what tidies up."""


class LazyCommands(click.Group):
    """Imports a subcommand only when it is the one to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"netc.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, rest if command is None else _options_first(ctx, command, rest)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, none of which is imported for it."""
        completions = [
            CompletionItem(name, help=words) for name, words in COMMANDS.items() if name.startswith(incomplete)
        ]
        return (
            completions
            if completions or not incomplete.startswith("-")
            else click.Command.shell_complete(self, ctx, incomplete)
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with protected_inputs():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except NetcError as error:
            print_diagnostics(error.diagnostics)
        except ImportError as error:
            told = missing(error)
            if told is None:
                raise
            print_diagnostics(told.diagnostics)
        except Unsupported as error:
            print_diagnostics([Diagnostic("torch-unsupported", str(error), None)])
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            print_diagnostics([_file_problem(error)])
        raise click.exceptions.Exit(1)


def _options_first(ctx: click.Context, command: click.Command, words: list[str]) -> list[str]:
    """What is no option goes behind `--` where `-:VARIANT`, a variant of standard input, would be taken for one."""
    if not any(word.startswith("-:") for word in words):
        return words
    if isinstance(command, click.Group):
        inner = command.get_command(ctx, words[0])
        return words if inner is None else [words[0], *_options_first(ctx, inner, words[1:])]
    with_value = {word for p in command.params if isinstance(p, click.Option) and not p.is_flag for word in p.opts}
    options: list[str] = []
    others: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            others += left
        elif word == "-" or word[:1] != "-" or word[:2] == "-:":
            others.append(word)
        else:
            options += [word, *islice(left, word in with_value)]
    return [*options, "--", *others]


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="netc")
def cli() -> None:
    """Check neural networks described in YAML, and write them as PyTorch, ONNX and pictures.

    SPEC is a file, FILE:VARIANT to choose one of its variants, netc:NAME of the library, or - for standard input.

    \b
      netc check specs/resnet.yaml:resnet50
      netc summary specs/resnet.yaml:resnet50 --bind h=7,w=7
      netc build specs/resnet.yaml:resnet50 -o build/resnet50
    """


def main() -> None:
    """Run the command line; raises SystemExit with 0, 1 after a diagnostic, 2 for a wrong command line.

    Asked to end, it takes half-written files away first.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupts())
    isolating.set(True)
    cli(prog_name="netc")


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _interrupts() -> Callable[[int, FrameType | None], None]:
    last = -inf

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > PRESSED_AGAIN:
            raise KeyboardInterrupt

    return interrupt


def _file_problem(error: OSError) -> Diagnostic:
    reason = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    return Diagnostic("file-access", f"{where}{reason}", None)
