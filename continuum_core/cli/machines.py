"""The verbs about definitions: `check` tells their faults, `draw` shows them."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import define, field

from continuum_core.cli.apps import ImportFault, Wanted, import_app, machines_of, one_machine
from continuum_core.cli.evolution import FAILING, Standing, Verdict, standings, verdict_facts, verdict_lines
from continuum_core.cli.failures import CALLER
from continuum_core.cli.options import AsJson, Debug, OutputFile
from continuum_core.cli.output import ascii_only, console, print_json, say
from continuum_core.definition.chart import Chart
from continuum_core.definition.check import listing
from continuum_core.definition.diagram import dot, mermaid
from continuum_core.definition.fault import DefinitionWarning, Fault, Severity
from continuum_core.definition.svg import svg
from continuum_core.definition.terminal import terminal
from continuum_core.errors import DefinitionError, UsageError

__all__ = ["Shade", "check", "draw", "write_drawing"]


# --- check -------------------------------------------------------------------------------------------


@define
class _Findings:
    """What was found in one module."""

    module: str
    machines: list[str] = field(factory=list[str])
    faults: list[tuple[str, Fault]] = field(factory=list[tuple[str, Fault]])  # machine, fault
    verdicts: list[Verdict] = field(factory=list[Verdict])  # the sound ones beside their locks
    broken: ImportFault | None = None

    def count(self, severity: Severity) -> int:
        """How many faults are that severe; a module that cannot be imported counts as one error."""
        found = sum(fault.severity is severity for _, fault in self.faults)
        return found + (self.broken is not None and severity is Severity.ERROR)


def check(
    modules: Annotated[list[str], typer.Argument(metavar="MODULE...", help="Modules that define machines.")],
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail, too.")] = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="Let a machine fail that is not exactly what its lock says.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check the machines of modules: every fault with its place and remedy; exit code 1 if there is one.

    Machines with committed locks (`continuum lock`) are held against them: what becomes of their runs.
    """
    found = [_examined(module) for module in modules]
    for findings in found:
        for value in _told(findings):
            if as_json:
                print_json(value)
            else:
                say(value["text"])
    errors = sum(each.count(Severity.ERROR) for each in found)
    cautions = sum(each.count(Severity.WARNING) for each in found)
    if not as_json:
        machines = sum(len(each.machines) for each in found)
        counts = [_counted(machines, "machine"), _counted(errors, "fault"), _counted(cautions, "warning")]
        say(", ".join(counts), stderr=True)
    unfit = _unfit(found, locked=locked)
    if errors or unfit or (strict and cautions):
        raise typer.Exit(CALLER)


def _unfit(found: list[_Findings], *, locked: bool) -> bool:
    """Whether some machine leaves runs of a locked version behind, or is not locked as it is."""
    verdicts = [verdict for findings in found for verdict in findings.verdicts]
    loose = {Standing.UNLOCKED, Standing.ADOPTED} if locked else set[Standing]()
    newest: dict[str, int] = {}
    for each in verdicts:
        newest[each.machine] = max(each.version, newest.get(each.machine, 0))
    return any(
        each.standing in FAILING or (each.standing in loose and each.version == newest[each.machine])
        for each in verdicts
    )


def _is_newest(chart: Chart, charts: list[Chart]) -> bool:
    return all(other.version <= chart.version for other in charts if other.name == chart.name)


def _examined(module: str) -> _Findings:
    findings = _Findings(module)
    charts: list[Chart] = []
    with listing() as listed, warnings.catch_warnings():
        # Nothing is refused or warned of in here, but a machine that was imported before stays quiet.
        warnings.simplefilter("ignore", DefinitionWarning)
        try:
            machines = machines_of(import_app(Wanted.parse(module).module))
            charts = [m.chart for m in machines]
            findings.machines = list(dict.fromkeys(m.chart.name or m.__name__ for m in machines))
        except ImportFault as fault:
            findings.broken = fault
        except DefinitionError as error:  # an activity: it is refused where it is declared
            listed.append((error.machine, tuple(f for f in error.faults if isinstance(f, Fault))))
    findings.faults = [(machine, fault) for machine, faults in listed for fault in faults]
    ailing = {machine for machine, fault in findings.faults if fault.severity is Severity.ERROR}
    for chart in charts:
        if chart.name not in ailing and _is_newest(chart, charts):
            findings.verdicts += standings(chart, charts)
    if findings.broken is None and not findings.machines and not findings.faults:
        findings.broken = ImportFault(f"module {module!r} defines no machine (a subclass of Machine)")
    return findings


def _told(findings: _Findings) -> Iterator[dict[str, Any]]:
    """One value per finding, then one per machine that is well. Its keys are part of the interface."""
    module = findings.module
    for machine, fault in findings.faults:
        yield {
            "module": module,
            "machine": machine,
            "severity": fault.severity.value,
            "code": fault.code,
            "where": fault.where,
            "what": fault.what,
            "remedy": fault.remedy,
            "file": None if fault.place is None else fault.place.file,
            "line": None if fault.place is None else fault.place.line,
            "text": f"{fault.severity.value}: {machine}: {fault}",
        }
    if findings.broken is not None:
        first, *rest = str(findings.broken).split("\n")
        hints = [f"  {line}" for line in [*rest, *getattr(findings.broken, "__notes__", ())]]
        text = "\n".join([f"error: {first}", *hints])
        yield {"module": module, "machine": None, "severity": "error", "code": "import", "text": text}
    ailing = {machine for machine, _ in findings.faults}
    for machine in findings.machines:
        if machine not in ailing:
            text = f"ok: {machine} ({module})"
            yield {"module": module, "machine": machine, "severity": "ok", "code": None, "text": text}
    for verdict in findings.verdicts:
        if verdict.standing is Standing.UNLOCKED and not any(
            each.lock is not None for each in findings.verdicts if each.machine == verdict.machine
        ):
            continue  # a machine without any lock: its author does not use them
        yield {
            "module": module,
            "machine": verdict.machine,
            "severity": "error" if verdict.standing in FAILING else "ok",
            "code": "lock",
            **verdict_facts(verdict),
            "text": "\n".join(verdict_lines(verdict)),
        }


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# --- draw --------------------------------------------------------------------------------------------


class Format(enum.StrEnum):
    """How a machine may be drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


class Shade(enum.StrEnum):
    """The colours of an SVG."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


_SUFFIXES = {
    ".svg": Format.SVG,
    ".mmd": Format.MERMAID,
    ".mermaid": Format.MERMAID,
    ".dot": Format.DOT,
    ".gv": Format.DOT,
}


def draw(
    machine: Annotated[
        str, typer.Argument(metavar="MODULE:MACHINE", help="MODULE alone if it has one only.")
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", "-f", help="Default: by FILE's ending, else text.")
    ] = None,
    output: OutputFile = None,
    theme: Annotated[Shade, typer.Option(help="Of an SVG; auto follows the reader's system.")] = Shade.AUTO,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Draw a machine: as text, Mermaid, Graphviz DOT or SVG."""
    chart = one_machine(machine).chart
    kind = format_ or (_SUFFIXES.get(output.suffix.lower(), Format.TEXT) if output else Format.TEXT)
    drawing = _drawing(chart, kind, theme, plain=output is None and not as_json)
    if output is not None:
        write_drawing(output, drawing)
    if as_json:
        written = None if output is None else str(output)
        print_json(
            {
                "machine": chart.name,
                "version": chart.version,
                "format": kind.value,
                "file": written,
                "drawing": drawing if output is None else None,
            }
        )
    elif output is None:
        say(drawing.rstrip("\n"))
    else:
        say(f"{chart.name} version {chart.version} drawn as {kind.value}: {output}", stderr=True)


def _drawing(chart: Chart, kind: Format, theme: Shade, *, plain: bool) -> str:
    if kind is Format.MERMAID:
        return mermaid(chart)
    if kind is Format.DOT:
        return dot(chart)
    if kind is Format.SVG:
        return svg(chart, theme=theme.value)
    return terminal(chart, width=console().width, ascii_only=plain and ascii_only())


def write_drawing(file: Path, drawing: str) -> None:
    """Write a drawing to the file that was named. Raises UsageError where that cannot be."""
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {file}: {error.strerror or error}") from error
