"""Runs every check and every test; the last line says how many tests passed and failed.

Called by `make test`. The lints are those of the compilation that the tests run from, so that nothing is compiled twice. Programs of tests
run two at a time: those with real parts wait for much of their time.

usage: test.py [FILE]    FILE gets that last line too
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

# Our crates are compiled by clippy, which is the compiler with its lints, and warnings are errors.
LINTED = {"RUSTC_WORKSPACE_WRAPPER": "clippy-driver", "CLIPPY_ARGS": "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"}
# How many programs of tests run at the same time.
SIDE_BY_SIDE = 2
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)
FAILED = re.compile(r"^test (.+) \.\.\. FAILED", re.MULTILINE)


class Run:
    """What was run so far, and how it ended."""

    def __init__(self):
        self.started = time.monotonic()
        self.passed = self.failed = self.ignored = 0
        self.names, self.broken = [], []
        self.children, self.lock = set(), threading.Lock()

    def step(self, name, work):
        """Does a part of the work, which says whether it went well, and tells how long it took."""
        print(f"== {name}", flush=True)
        begun = time.monotonic()
        ok = work()
        print(f"== {name}: {'ok' if ok else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
        if not ok:
            self.broken.append(name)
        return ok

    def output(self, command, directory=None, notes=None, **settings):
        """The output of a command, and whether it ended well. `notes` is where its notes go."""
        with self.lock:
            child = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **LINTED, **settings},
                stdout=subprocess.PIPE,
                stderr=notes,
                text=True,
                errors="replace",
            )
            self.children.add(child)
        with child:
            text = child.stdout.read()
        with self.lock:
            self.children.discard(child)
        return text, child.returncode == 0

    def command(self, *command):
        """Runs a command whose output is for people."""
        text, ok = self.output(command)
        print(text, end="", flush=True)
        return ok

    def build(self, programs):
        """Compiles everything and adds the programs of tests: their files, and the directories where they are to run."""
        text, ok = self.output(["cargo", "test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        for line in text.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("executable") and message["profile"]["test"]:
                programs.append((message["executable"], pathlib.Path(message["manifest_path"]).parent))
        # Those with real parts, which take longest, first.
        programs.sort(key=lambda program: (program[1].name != "integration", program))
        # Tests start these.
        return ok and self.command("cargo", "build", "--workspace", "--bins")

    def program(self, program):
        """Runs a program of tests."""
        file, directory = program
        name = f"{directory.name}/{pathlib.Path(file).name.rsplit('-', 1)[0]}"
        begun = time.monotonic()
        text, ok = self.output([file], directory, subprocess.STDOUT, CARGO_MANIFEST_DIR=str(directory))
        with self.lock:
            print(f"-- {name}\n{text}-- {name}: {'ok' if ok else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
            self.count(name, text, ok)
        return ok

    def programs(self, programs):
        """Runs programs of tests side by side."""
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return all(list(pool.map(self.program, programs)))

    def documents(self):
        """Runs the examples of the documentation."""
        text, ok = self.output(["cargo", "test", "--workspace", "--doc"])
        print(text, end="", flush=True)
        self.count("documentation", text, ok)
        return ok

    def count(self, name, text, ok):
        results = RESULT.findall(text)
        for passed, failed, ignored in results:
            self.passed += int(passed)
            self.failed += int(failed)
            self.ignored += int(ignored)
        self.names += [f"{name}: {test}" for test in FAILED.findall(text)]
        if not ok and not any(int(failed) for _, failed, _ in results):
            # It died.
            self.failed += 1
            self.names.append(name)

    def end(self):
        """Ends what still runs."""
        with self.lock:
            for child in self.children:
                child.terminate()


def main():
    run = Run()
    try:
        test(run)
    except KeyboardInterrupt:
        run.end()
        print("interrupted", file=sys.stderr)
        os._exit(130)
    for name in run.names:
        print(f"failed: {name}")
    if run.broken:
        print(f"not passed: {', '.join(run.broken)}")
    print(f"took {time.monotonic() - run.started:.0f} s; {run.ignored} tests ignored")
    counts = f"{run.passed} passed, {run.failed} failed"
    print(counts, flush=True)
    if len(sys.argv) > 1:
        pathlib.Path(sys.argv[1]).write_text(counts + "\n")
    sys.exit(1 if run.broken or run.failed else 0)


def test(run):
    run.step("format", lambda: run.command("cargo", "fmt", "--all", "--check"))
    programs = []
    if not run.step("build and lint", lambda: run.build(programs)):
        return
    is_tidy = lambda program: pathlib.Path(program[0]).name.startswith("tidy-")
    # First, because it takes a second and its remedy is cheap.
    run.step("tidy", lambda: run.programs([program for program in programs if is_tidy(program)]))
    run.step("test", lambda: run.programs([program for program in programs if not is_tidy(program)]))
    run.step("documentation", run.documents)


if __name__ == "__main__":
    main()
