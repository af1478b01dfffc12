"""Start and control local registries from a shell: `PYTHONPATH=test python3 -m registry --help`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from registry.client import Registry, Tls, build_image, local_registry


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status, 1 where what was awaited did not come."""
    options = _parser().parse_args(arguments)
    if options.command == "run":
        _run(options)
        return 0
    registry = Registry(options.host, authority=options.authority)
    match options.command:
        case "fault":
            registry.fault(**json.loads(options.description))
        case "protect":
            registry.protect_tags(options.workspace, **json.loads(options.settings))
        case "clear":
            registry.clear()
        case "quiet":
            return 0 if registry.quiet(options.seconds) else 1
        case "requests":
            conditions = dict(condition.split("=", 1) for condition in options.conditions)
            try:
                found = registry.wait_for(
                    count=options.count, received=options.received, timeout=options.timeout, **conditions
                )
            except TimeoutError as error:
                sys.stderr.write(f"{error}\n")
                return 1
            sys.stdout.writelines(f"{json.dumps(asdict(entry))}\n" for entry in found)
    return 0


def _run(options: argparse.Namespace) -> None:
    """Run a registry until SIGTERM or SIGINT; its host is the first line of the output."""
    tls = Tls(options.cert, options.key, options.authority) if options.cert else None
    world = options.world.read_text(encoding="utf-8") if options.world else None
    limits = dict(option.split("=", 1) for option in options.options)
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    build_image()
    with local_registry(world=world, tls=tls, port=options.port, **limits) as registry:
        sys.stdout.write(f"{registry.host}\n")
        sys.stdout.flush()
        signal.sigwait(stops)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m registry", description=__doc__)
    parser.add_argument("--authority", type=Path, help="PEM file of the authority to trust: use TLS")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a fresh registry; prints its host, ends with SIGTERM")
    run.add_argument("--port", type=int, default=0)
    run.add_argument("--world", type=Path)
    run.add_argument("--cert", type=Path, help="PEM file")
    run.add_argument("--key", type=Path, help="PEM file")
    run.add_argument("options", nargs="*", help="like max_layer=1MB upload_timeout=3s")
    for name, text in {
        "fault": "add a fault",
        "protect": "replace how a workspace protects its tags",
        "clear": "remove faults and clear the log",
        "quiet": "wait until nothing happens any more",
        "requests": "print logged requests, one JSON object a line",
    }.items():
        commands.add_parser(name, help=text).add_argument("host", help="address:port")
    commands.choices["fault"].add_argument("description", help="a JSON object")
    commands.choices["protect"].add_argument("workspace")
    commands.choices["protect"].add_argument("settings", help='a JSON object, like {"protect": "all"}')
    commands.choices["quiet"].add_argument("seconds", type=float, nargs="?", default=2)
    requests = commands.choices["requests"]
    requests.add_argument("conditions", nargs="*", help="like method=PATCH path='*/blobs/*' status=201")
    requests.add_argument("--count", type=int, default=0, help="wait until there are so many")
    requests.add_argument("--received", type=int, default=0, help="only with so many bytes of body")
    requests.add_argument("--timeout", type=float, default=30, help="seconds to wait")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
