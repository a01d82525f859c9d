"""Runs every check and every test; the last line says how many tests passed and failed.

Called by `make test`. The lints are those of the compilation that the tests run from, so that nothing is compiled twice. The real Kubernetes
is built meanwhile. Programs of tests run two at a time: those with real parts wait for much of their time.

usage: test.py TARGET_DIRECTORY    its file test-counts gets that last line too
"""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

# Our crates are compiled by clippy, which is the compiler with its lints, and warnings are errors.
LINTED = {"RUSTC_WORKSPACE_WRAPPER": "clippy-driver", "CLIPPY_ARGS": "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"}
# How many programs of tests run at the same time.
SIDE_BY_SIDE = 2
# Those that take longest begin first.
LONGEST = ["kubernetes", "bookinfo", "install", "demo", "push_model"]
# Seconds that commands have to end, once asked and once killed.
GRACE = 10
# How a shell sees that a program was interrupted.
INTERRUPTED = 130
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)
FAILED = re.compile(r"^test (.+) \.\.\. FAILED", re.MULTILINE)


class Run:
    """What was run so far, and how it ended."""

    def __init__(self):
        self.started = time.monotonic()
        self.passed = self.failed = self.ignored = 0
        self.names, self.broken = [], []
        # An interrupt comes in the middle of anything.
        self.children, self.lock, self.is_over = [], threading.RLock(), False

    def step(self, name, work):
        """Does a part of the work, which says whether it went well, and tells how long it took."""
        print(f"== {name}", flush=True)
        begun = time.monotonic()
        ok = work()
        print(f"== {name}: {'ok' if ok else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
        if not ok:
            self.broken.append(name)
        return ok

    def start(self, command, **settings):
        """Starts a command in a session of its own, so that it and all that it starts can be ended together."""
        environment = {**os.environ, **LINTED, **settings.pop("env", {})}
        with self.lock:
            if self.is_over:
                raise KeyboardInterrupt
            child = subprocess.Popen(command, start_new_session=True, env=environment, **settings)
            self.children.append(child)
        return child

    def command(self, *command):
        """Runs a command whose output is for people."""
        return self.start(command).wait() == 0

    def output(self, command, **settings):
        """The output of a command, and whether it ended well."""
        with self.start(command, stdout=subprocess.PIPE, text=True, errors="replace", **settings) as child:
            text = child.stdout.read()
        return text, child.returncode == 0

    def build(self, target, programs):
        """Compiles everything and adds the programs of tests: their files, and the directories where they are to run."""
        kubernetes = self.start([sys.executable, str(pathlib.Path(__file__).with_name("kube.py")), str(target)])
        text, ok = self.output(["cargo", "test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        for line in text.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("executable") and message["profile"]["test"]:
                programs.append((message["executable"], pathlib.Path(message["manifest_path"]).parent))
        programs.sort(key=lambda program: (LONGEST.index(name_of(program)) if name_of(program) in LONGEST else len(LONGEST), program))
        # Tests start these.
        return ok and self.command("cargo", "build", "--workspace", "--bins") and kubernetes.wait() == 0

    def program(self, program):
        """Runs a program of tests."""
        file, directory = program
        name = f"{directory.name}/{name_of(program)}"
        begun = time.monotonic()
        text, ok = self.output([file], cwd=directory, stderr=subprocess.STDOUT, env={"CARGO_MANIFEST_DIR": str(directory)})
        with self.lock:
            print(f"-- {name}\n{text}-- {name}: {'ok' if ok else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
            # What is repeated of a test that runs this program again comes before.
            self.count(name, RESULT.findall(text)[-1:], text, ok)
        return ok

    def programs(self, programs):
        """Runs programs of tests side by side."""
        pool = concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE)
        try:
            return all(list(pool.map(self.program, programs)))
        finally:
            # Who is interrupted does not wait for them.
            pool.shutdown(wait=False, cancel_futures=True)

    def documents(self):
        """Runs the examples of the documentation."""
        text, ok = self.output(["cargo", "test", "--workspace", "--doc"])
        print(text, end="", flush=True)
        self.count("documentation", RESULT.findall(text), text, ok)
        return ok

    def count(self, name, results, text, ok):
        for passed, failed, ignored in results:
            self.passed += int(passed)
            self.failed += int(failed)
            self.ignored += int(ignored)
        self.names += [f"{name}: {test}" for test in dict.fromkeys(FAILED.findall(text))]
        if not ok and not any(int(failed) for _, failed, _ in results):
            # It died.
            self.failed += 1
            self.names.append(name)

    def end(self):
        """Ends what still runs, politely at first: what tests have started they clear away themselves."""
        with self.lock:
            self.is_over = True
            leaders = {child.pid for child in self.children if child.returncode is None}
        for request in (signal.SIGINT, signal.SIGKILL):
            deadline = time.monotonic() + GRACE
            for process in processes(leaders):
                try:
                    os.kill(process, request)
                except ProcessLookupError:
                    pass
            while processes(leaders) and time.monotonic() < deadline:
                time.sleep(0.05)


def processes(leaders):
    """The processes of the sessions with these leaders: tests start theirs in groups of their own."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z" and int(fields[3]) in leaders:
            found.append(int(stat.parent.name))
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[1])
    run = Run()

    def interrupted(*_):
        # Before anything else: on the way out, whoever runs programs side by side waits for their ends.
        run.end()
        raise KeyboardInterrupt

    # Whoever ends it with `kill` means the same as Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        test(run, target)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        # Threads may still wait for what was ended.
        os._exit(INTERRUPTED)
    for name in run.names:
        print(f"failed: {name}")
    if run.broken:
        print(f"not passed: {', '.join(run.broken)}")
    print(f"took {time.monotonic() - run.started:.0f} s; {run.ignored} tests ignored")
    counts = f"{run.passed} passed, {run.failed} failed"
    print(counts, flush=True)
    (target / "test-counts").write_text(counts + "\n")
    sys.exit(1 if run.broken or run.failed else 0)


def name_of(program):
    """The name of a program of tests, without the hash of its build."""
    return pathlib.Path(program[0]).name.rsplit("-", 1)[0]


def test(run, target):
    run.step("format", lambda: run.command("cargo", "fmt", "--all", "--check"))
    programs = []
    if not run.step("build and lint", lambda: run.build(target, programs)):
        return
    # First, because it takes a second and its remedy is cheap.
    run.step("tidy", lambda: run.programs([program for program in programs if name_of(program) == "tidy"]))
    run.step("test", lambda: run.programs([program for program in programs if name_of(program) != "tidy"]))
    run.step("documentation", run.documents)


if __name__ == "__main__":
    main()
