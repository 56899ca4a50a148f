"""rsyslog: the logs of all parts in one directory, a file for each."""

from __future__ import annotations

from typing import Final

from harborsite.config import Config
from harborsite.parts import Part, rendered

# By the tag under which they log, with the template of a line: our own lines begin with the time.
SENDERS: Final = {"web": "line", "jobs": "line", "server": "line", "nginx": "timed", "mariadb": "raw"}
_LARGEST: Final = 20 * 1024 * 1024
_KEPT: Final = 5


def part(config: Config) -> Part:
    run, log = config.run_dir, config.data_volume / "log"
    file, rotate = run / "rsyslog.conf", run / "rotate.sh"
    return Part(
        name="rsyslog",
        description="Log collector (rsyslog)",
        package="rsyslog",
        program="rsyslogd",
        arguments=("-n", "-f", str(file), "-i", str(run / "rsyslog.pid")),
        files=lambda: {file: configuration(config), rotate: _ROTATE},
        directories=[run / "rsyslog", log],
        check=("-N1", "-f", str(file)),
    )


def configuration(config: Config) -> str:
    log, rotate = config.data_volume / "log", config.run_dir / "rotate.sh"
    lines = []
    for sender, template in SENDERS.items():
        file = log / f"{sender}.log"
        lines += [
            f"$outchannel {sender},{file},{_LARGEST},/bin/sh {rotate} {file}",
            f'if $programname == "{sender}" then {{\n    :omfile:${sender};{template}\n    stop\n}}',
        ]
    lines.append(f'action(type="omfile" file="{log}/other.log" template="timed")')
    return rendered("rsyslog.conf", {"RUN": str(config.run_dir), "FILES": "\n".join(lines)})


_ROTATE: Final = f"""\
# Called by rsyslog with a log that has grown: keeps the last {_KEPT} of it.
number={_KEPT - 1}
while [ $number -gt 0 ]; do
    [ ! -e "$1.$number" ] || mv -f "$1.$number" "$1.$((number + 1))"
    number=$((number - 1))
done
mv -f "$1" "$1.1"
"""
