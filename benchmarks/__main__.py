"""Speed, side by side: `python3 dev.py bench [PART ...]`. See README.md.

    interpreter      the interpreter alone beside other libraries, in memory (the default)
    w1 ... w5        durable runs on PostgreSQL beside other engines
    all              everything, for the published figures
    port             commits of a journal alone, without the engine; needs --journals

With --journals, port and w1 ... w3 are measured of ours alone, on journals of those kinds.

Tables go to stdout, progress to stderr, raw figures to a JSON file for each part.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks import interpreter, journals
from benchmarks.conditions import conditions, quietness, versions_of
from benchmarks.envs import HERE
from benchmarks.measure import Stage
from benchmarks.pace import pace
from benchmarks.parts import w1, w2, w3, w4, w5
from benchmarks.rounds import say
from benchmarks.server import Server
from benchmarks.tables import Target

RESULTS = HERE / "results"
TRIALS = HERE.parent / "build" / "bench"


@frozen
class Part:
    """A part of the run.

    :ivar rounds: by default.
    """

    name: str
    rounds: int
    measure: Callable[..., dict[str, Any]]
    tables: Callable[[dict[str, Any]], str]
    targets: Callable[[dict[str, Any]], list[Target]]


PARTS = {
    name: Part(name, module.ROUNDS, module.measure, module.tables, module.targets)
    for name, module in {"w1": w1, "w2": w2, "w3": w3, "w4": w4, "w5": w5}.items()
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="interpreter, w1 ... w5, all")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default: 5)")
    parser.add_argument("--seconds", type=float, default=10.0, help="a measurement's length (default 10)")
    parser.add_argument(
        "--peers", default="", help="only these, by module: dbos,absurd,bare,... or none; ours always"
    )
    parser.add_argument(
        "--journals", default="", help=f"ours alone on these: {','.join(journals.JOURNALS)}; or all"
    )
    parser.add_argument("--waiting", type=int, default=w3.MANY, help="w3: runs of ours that wait")
    parser.add_argument("--few", type=int, default=w3.FEW, help="w3: runs of the others that wait")
    parser.add_argument("--old", type=int, default=w5.OLD, help="w5: old runs")
    parser.add_argument("--save", action="store_true", help="keep the results in benchmarks/results")
    parser.add_argument("--to", type=Path, default=TRIALS, help="where else they go (default build/bench)")
    options = parser.parse_args(arguments)
    wanted = options.parts or ["interpreter"]
    if options.journals or "port" in wanted:
        return on_journals(parser, wanted, options)
    if unknown := set(wanted) - {"interpreter", *PARTS, "all"}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if "all" in wanted:
        wanted = ["interpreter", *PARTS]
    peers = {path.stem for path in (HERE / "peers").glob("*.py")} | {"none", ""}
    if unknown := set(options.peers.split(",")) - peers:
        parser.error(f"there is no peer {', '.join(sorted(unknown))}")
    folder: Path = RESULTS if options.save else options.to
    folder.mkdir(parents=True, exist_ok=True)
    if "interpreter" in wanted:
        interpreter.main(["--json", str(folder / "interpreter.json")])
    durable = [PARTS[name] for name in wanted if name in PARTS]
    if durable:
        with Server() as server:
            stage = Stage(server)
            for part in durable:
                run(part, stage, options, folder)
    return 0


def on_journals(parser: argparse.ArgumentParser, wanted: Sequence[str], options: argparse.Namespace) -> int:
    """Parts measured of ours alone, on journals of several kinds."""
    named: str = options.journals or "all"
    names = list(journals.JOURNALS) if named == "all" else named.split(",")
    if unknown := set(names) - set(journals.JOURNALS):
        parser.error(f"there is no journal {', '.join(sorted(unknown))}")
    if unknown := set(wanted) - set(journals.PARTS):
        parser.error(f"not measured on journals: {', '.join(sorted(unknown))}")
    folder: Path = RESULTS if options.save else options.to
    folder.mkdir(parents=True, exist_ok=True)
    rounds = options.rounds or 3
    for part in wanted:
        said = conditions({}, rounds, options.seconds)
        command = f"python3 dev.py bench {part} --journals {named} --rounds {rounds}"
        said["command"] = f"{command} --seconds {options.seconds:g}"
        found = journals.measure(part, names, rounds, options.seconds)
        text = (
            f"{journals.tables(found)}\n`{said['command']}`, {said['taken'][:10]}: {said['cpu']}, "
            f"{said['cores']} cores, load {said['load_before']:g} before, Python {said['python']}, a fixed "
            f"loop in {said['pace_ms']:g} ms. Medians "
            "of the rounds, lowest and highest in brackets.\n"
        )
        raw = json.dumps({"conditions": said, "found": found}, indent=1)
        (folder / f"journals-{part}.json").write_text(raw + "\n", encoding="utf-8")
        (folder / f"journals-{part}.md").write_text(text, encoding="utf-8")
        print(text, flush=True)
        for aim, met in journals.targets(found):
            print(f"target {'met' if met else 'MISSED'}: {aim}", flush=True)
    return 0


def run(part: Part, stage: Stage, options: argparse.Namespace, folder: Path) -> None:
    """One part: measure, print, write."""
    rounds = options.rounds or part.rounds
    extra: dict[str, int] = {
        "w3": {"many": options.waiting, "few": options.few},
        "w5": {"old": options.old},
    }.get(part.name, {})
    said = conditions(stage.server.settings(), rounds, options.seconds)
    say(f"{part.name}: {rounds} rounds of {options.seconds:g} s")
    begun = time.perf_counter()
    peers = [name for name in options.peers.split(",") if name]
    found = part.measure(stage, rounds, options.seconds, peers, **extra)
    said |= {
        "took": round(time.perf_counter() - begun),
        "versions": versions_of(found),
        "cores_busy_with_others": quietness(found),
        "pace_after_ms": pace(),
        "command": _command(part, rounds, options),
    }
    write(folder, part, said, found)
    print((folder / f"{part.name}.md").read_text(encoding="utf-8"), flush=True)


def _command(part: Part, rounds: int, options: argparse.Namespace) -> str:
    """What gives these figures again, as far as figures can be had again."""
    words = [f"python3 dev.py bench {part.name} --rounds {rounds} --seconds {options.seconds:g}"]
    given = (
        ("peers", options.peers, "", ("w1", "w2", "w3")),
        ("waiting", options.waiting, w3.MANY, ("w3",)),
        ("few", options.few, w3.FEW, ("w3",)),
        ("old", options.old, w5.OLD, ("w5",)),
    )
    for name, value, usual, parts in given:
        if value != usual and part.name in parts:
            words.append(f"--{name} {value}")
    return " ".join(words)


def write(folder: Path, part: Part, said: dict[str, Any], found: dict[str, Any]) -> None:
    """The raw figures as JSON, and the tables as markdown."""
    raw = json.dumps({"conditions": said, "found": found}, indent=1)
    (folder / f"{part.name}.json").write_text(raw + "\n", encoding="utf-8")
    others = said["cores_busy_with_others"]
    quiet = "" if others is None else f" {others:.2f} of them busy with other things meanwhile,"
    server = said["postgres"]
    taken = (
        f"`{said['command']}`, {said['taken'][:10]}, {said['took'] / 60:.0f} min: {said['cpu']},"
        f" {said['cores']} cores for client and server together,{quiet} Python {said['python']} (a fixed"
        f" loop in {said['pace_ms']:g} ms before, {said['pace_after_ms']:g} after), PostgreSQL"
        f" {server['server_version']} (fsync {server['fsync']}, synchronous_commit"
        f" {server['synchronous_commit']}, shared_buffers"
        f" {server['shared_buffers']}); "
        + ", ".join(f"{name} {version}" for name, version in said["versions"].items())
        + ". Medians of the rounds, lowest and highest in brackets.\n"
    )
    aims = "".join(f"- {'met' if met else '**missed**'}: {aim}\n" for aim, met in part.targets(found))
    text = part.tables(found) + "\n" + taken + (f"\nAims:\n\n{aims}" if aims else "")
    (folder / f"{part.name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
