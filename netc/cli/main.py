"""The `netc` command: finds the subcommand, and turns every error of a user into a diagnostic and exit code 1."""

from __future__ import annotations

import errno
import signal
from importlib import import_module
from types import FrameType
from typing import Any

import click

from netc import __version__
from netc.cli.report import print_diagnostics
from netc.diagnostics.model import Diagnostic, NetcError
from netc.ops.records import Unsupported

COMMANDS = {
    "check": "Say whether specs are right, and what is wrong with them.",
    "summary": "Tabulate layers, shapes, parameters, MACs and receptive fields.",
    "build": "Write module, weights, ONNX file, picture and summary into one directory.",
    "torch": "Write a network as a PyTorch module.",
    "onnx": "Write a network as an ONNX file, with weights.",
    "optimize": "Make an ONNX file smaller and faster, step by step, each compared with the file as it was.",
    "diagram": "Draw a network.",
    "weights": "Make, list and check weight files.",
    "run": "Run an ONNX file, or a spec, in onnxruntime.",
    "verify": "Compare PyTorch and ONNX, or two ONNX files, on the same weights and input.",
    "bench": "Measure a network beside PyTorch and other files.",
    "ops": "List the operators, or describe one.",
    "library": "List the blocks that come with netc, or print one.",
    "explain": "Explain a diagnostic code.",
}


class LazyCommands(click.Group):
    """Imports a subcommand only when it is the one to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"netc.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NetcError as error:
            print_diagnostics(error.diagnostics)
        except Unsupported as error:
            print_diagnostics([Diagnostic("torch-unsupported", str(error), None)])
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            print_diagnostics([_file_problem(error)])
        raise click.exceptions.Exit(1)


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="netc")
def cli() -> None:
    """From a YAML description of a neural network to a checked network, PyTorch, ONNX and a picture.

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
    cli(prog_name="netc")


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _file_problem(error: OSError) -> Diagnostic:
    reason = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    return Diagnostic("file-access", f"{where}{reason}", None)
