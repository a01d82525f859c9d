"""Sees to the Debian packages that the nodes of the test cluster are made of.

usage: packages.py

Root's `make test` installs what is missing, and says so; anybody else is told the command.
"""

import os
import pathlib
import shutil
import subprocess
import sys

# What shows that a package is there: a command, or a file.
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "nftables": "nft",
    "conntrack": "conntrack",
    "iproute2": "ip",
    "util-linux": "nsenter",
}
# Where commands of the system are that a person's PATH may not have.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def main():
    missing = [package for package, probe in PACKAGES.items() if not present(probe)]
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"missing: {', '.join(missing)}; tests with whole clusters need them; install them: sudo {' '.join(install)}", file=sys.stderr)
        return
    print(f"installing {', '.join(missing)}, which tests with whole clusters need", flush=True)
    for command in [["apt-get", "update"], install]:
        run([command[0], "--quiet", "--quiet", "-o", "Acquire::Retries=3", *command[1:]])


def present(probe):
    return pathlib.Path(probe).exists() if probe.startswith("/") else shutil.which(probe, path=PATH) is not None


def run(command):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed; are Debian's registries within reach?\n{done.stdout.strip()}")


if __name__ == "__main__":
    main()
