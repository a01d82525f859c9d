"""Builds the real Kubernetes of the tests from its Go modules: etcd, the programs of Kubernetes, CoreDNS; and Helm.

usage: kube.py TARGET_DIRECTORY

Does nothing when what is in TARGET_DIRECTORY/kube was built from the same modules by the same Go. A first build downloads about 600 MB into
Go's caches and takes some minutes; later ones take seconds. Notes go to stderr.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import fetch

MODULES = pathlib.Path(__file__).parent.parent / "cluster"
# The names under which the one binary of `kube` is started.
LINKS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"]
# The largest `go` line of the modules.
GO_MIN = (1, 25)
# Seconds between two lines of progress where they cannot overwrite each other.
PROGRESS_PAUSE = 15


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    target = pathlib.Path(arguments[0])
    try:
        (target / "kube").mkdir(parents=True, exist_ok=True)
        go, version = toolchain(target)
        build("kube", go, version, target / "kube", version_flags())
        for name in LINKS:
            link(target / "kube" / name)
        build("coredns", go, version, target / "kube", "-s -w")
        build("helm", go, version, target / "kube", "-s -w", package="helm.sh/helm/v3/cmd/helm")
    except (fetch.Failure, OSError) as failure:
        sys.exit(f"cannot build Kubernetes: {failure}")


def toolchain(target):
    """The Go to build with and what it says of its version: the machine's, else the one that is fetched into the target directory."""
    found = shutil.which("go")
    if found and (version := version_of(found)) and number(version) >= GO_MIN:
        return found, version
    fetch.main(["go", str(target)])
    fetched = str((target / "go" / "bin" / "go").absolute())
    version = version_of(fetched)
    if not version:
        raise fetch.Failure(f"{fetched} does not run")
    return fetched, version


def version_of(go):
    try:
        # Elsewhere than in a module, which may ask for another toolchain.
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False, cwd="/", env=environment())
    except OSError:
        return None
    return said.stdout.strip() if said.returncode == 0 else None


def number(version):
    found = re.search(r"go(\d+)\.(\d+)", version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def environment():
    # The flags of the person are not part of the stamp, so they have no say.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def build(name, go, version, folder, flags, package="."):
    module, stamp, binary = MODULES / name, folder / f".{name}.stamp", folder / name
    # A package of somebody else's has no source here.
    sources = [module / "go.mod", module / "go.sum", *module.glob("*.go"), pathlib.Path(__file__)]
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in sources) + version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted and os.access(binary, os.X_OK):
        return
    fetch.note(f"building {name} with {version} into {folder}; the first time this takes minutes")
    # Renamed into place at the end, so that a binary is whole and one that runs is left alone.
    fresh = folder / f"{name}.fresh"
    command = [go, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", str(fresh.absolute()), package]
    begun = time.monotonic()
    run(command, module, Progress(name))
    os.replace(fresh, binary)
    stamp.write_text(wanted)
    fetch.note(f"built {name} in {time.monotonic() - begun:.0f} s")


def run(command, module, progress):
    other = []
    with subprocess.Popen(command, cwd=module, env=environment(), stderr=subprocess.PIPE, text=True, errors="replace") as child:
        with progress:
            for line in child.stderr:
                line = line.rstrip()
                if line.startswith("go: downloading "):
                    progress.downloaded += 1
                elif re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*", line):
                    progress.compiled += 1
                elif line:
                    other.append(line)
    if child.returncode != 0:
        lines = "\n".join(other[-20:])
        raise fetch.Failure(f"`go build` in {module} failed (a download that fails: see GOPROXY)\n{lines}")


class Progress:
    """Says how far a build is, every second on a terminal, and now and then elsewhere."""

    def __init__(self, name):
        self.name, self.downloaded, self.compiled = name, 0, 0
        self.begun, self.over = time.monotonic(), threading.Event()
        self.speaker = threading.Thread(target=self.speak, daemon=True)

    def __enter__(self):
        self.speaker.start()

    def __exit__(self, *_):
        self.over.set()
        self.speaker.join()

    def speak(self):
        terminal = sys.stderr.isatty()
        while not self.over.wait(1 if terminal else PROGRESS_PAUSE):
            seconds = time.monotonic() - self.begun
            text = f"{self.name}: {self.downloaded} modules downloaded, {self.compiled} packages compiled, {seconds:.0f} s"
            print(f"\r\x1b[K{text}" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def version_flags():
    """Linker flags that tell Kubernetes its version; without them clients take it for another one."""
    found = re.search(r"k8s\.io/kubernetes (v1\.(\d+)\.\d+)", (MODULES / "kube" / "go.mod").read_text())
    if not found:
        raise fetch.Failure(f"{MODULES / 'kube' / 'go.mod'} names no version of k8s.io/kubernetes")
    values = {
        "gitVersion": found.group(1), "gitMajor": "1", "gitMinor": found.group(2),
        "gitCommit": "unknown", "gitTreeState": "archive", "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
    return " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())])


def link(path):
    if not (path.is_symlink() and os.readlink(path) == "kube"):
        path.unlink(missing_ok=True)
        path.symlink_to("kube")


if __name__ == "__main__":
    main(sys.argv[1:])
