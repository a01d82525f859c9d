"""Runs every check and every test; the last line says how many tests passed and failed.

Called by `make test`.

usage: test.py [FILE]    FILE gets that last line too
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

STEPS = [
    ("format", ["cargo", "fmt", "--all", "--check"]),
    ("lint", ["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    # Tests with real parts start these programs.
    ("build", ["cargo", "build", "--workspace", "--bins"]),
    # First, because it takes a second and its remedy is cheap.
    ("tidy", ["cargo", "test", "--workspace", "--test", "tidy"]),
    ("test", ["cargo", "test", "--workspace", "--no-fail-fast"]),
]
# Seconds that a step has to end, once asked and once killed.
GRACE = 10
# How a shell sees that a program was interrupted.
INTERRUPTED = 130
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored")
FAILED = re.compile(r"^test (.+) \.\.\. FAILED")


def main():
    # Whoever ends it with `kill` means the same as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        every_step()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def every_step():
    started = time.monotonic()
    passed = failed = ignored = 0
    names, broken = [], []
    for name, command in STEPS:
        print(f"== {name}: {' '.join(command)}", flush=True)
        begun = time.monotonic()
        counts, step_names, ok = run(command)
        print(f"== {name}: {'ok' if ok else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
        if name == "test":
            passed, failed, ignored = counts
            names = step_names
        if not ok:
            broken.append(name)
            if name == "build":
                break
    for name in names:
        print(f"failed: {name}")
    if broken:
        print(f"not passed: {', '.join(broken)}")
    seconds = time.monotonic() - started
    print(f"took {seconds:.0f} s; {ignored} tests ignored")
    counts = f"{passed} passed, {failed} failed"
    print(counts, flush=True)
    if len(sys.argv) > 1:
        pathlib.Path(sys.argv[1]).write_text(counts + "\n")
    sys.exit(1 if broken or failed else 0)


def run(command):
    """Runs a step, passing its output on; the sums of cargo's test results, the failed tests, and whether it ended well."""
    counts, names = [0, 0, 0], []
    # A session of its own, so that all that the step has started can be ended together.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    ) as child:
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
                if found := RESULT.match(line):
                    counts = [total + int(number) for total, number in zip(counts, found.groups())]
                elif found := FAILED.match(line):
                    names.append(found.group(1))
        except KeyboardInterrupt:
            end(child)
            raise
    return counts, names, child.returncode == 0


def end(child):
    """Ends a step and all that it has started, politely at first: what tests have started they clear away themselves."""
    for request in (signal.SIGINT, signal.SIGKILL):
        for process in session(child.pid):
            try:
                os.kill(process, request)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            child.poll()
            if not session(child.pid):
                return
            time.sleep(0.05)


def session(leader):
    """The processes of a session: tests start theirs in groups of their own."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z" and int(fields[3]) == leader:
            found.append(int(stat.parent.name))
    return found


if __name__ == "__main__":
    main()
