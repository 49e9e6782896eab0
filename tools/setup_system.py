"""Sets up what a machine needs beyond Python: Debian packages (when root) and the stock kubectl. Skips what it cannot, and says so.

    python3 tools/setup_system.py              packages; kubectl into .tools/ when none is on PATH
    python3 tools/setup_system.py --tests      also what the tests drive, into .tools/: the newest kubectl that Debian has (kubectl-newest),
                                               and the servers and tools of Prometheus, Alertmanager and others that are not on PATH

These are Debian's own packages, unpacked and not installed: no service is started. Their suite is read through the machine's own package sources,
copied into a private directory with the suite's name replaced; the machine's sources, package lists and packages stay as they are. Standard
library only: this runs before any environment exists. Exit code 0 also when something was skipped.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
PACKAGES = {"containerd": "containerd", "runc": "runc", "containernetworking-plugins": "", "nftables": "nft", "iproute2": "ip"}
"""Package -> a program by which it is recognised; empty: CNI plugins, by their directory."""

CNI_DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni")
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Debian's `su` leaves the system programs out of PATH."""

KUBECTL_SUITE = "trixie"
NEWEST_SUITES = ("sid", "forky")
PEERS = {
    "prometheus": ("prometheus", "promtool"),
    "prometheus-alertmanager": ("prometheus-alertmanager", "amtool"),
    "prometheus-blackbox-exporter": ("prometheus-blackbox-exporter",),
    "prometheus-node-exporter": ("prometheus-node-exporter",),
    "prometheus-pushgateway": ("prometheus-pushgateway",),
    "victoria-metrics": ("victoria-metrics",),
}
"""Package -> the programs in it that tests drive. They are Go programs, which need nothing else of their packages."""

PATIENCE_S = 300


def skipped(what: str, why: str) -> None:
    print(f"skipped: {what}: {why}", flush=True)


def run(command: list[str], cwd: Path | None = None) -> str | None:
    """None when it worked, else the last line that says why not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except FileNotFoundError:
        return f"no {command[0]} on this machine"
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end within {PATIENCE_S} s"
    if done.returncode == 0:
        return None
    lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("E:")), lines[-1] if lines else f"{command[0]} failed")


def missing_packages() -> list[str]:
    def there(program: str) -> bool:
        return bool(shutil.which(program, path=SEARCHED)) if program else any(Path(d, "ptp").exists() for d in CNI_DIRECTORIES)

    return [package for package, program in PACKAGES.items() if not there(program)]


def install_packages() -> None:
    missing = missing_packages()
    what = f"packages {' '.join(missing)}"
    if not missing:
        pass
    elif not sys.platform.startswith("linux"):
        skipped(what, "not Linux; pods are simulated")
    elif os.geteuid() != 0:
        skipped(what, "not root; pods run as processes of this user")
    elif not shutil.which("apt-get"):
        skipped(what, "no apt-get here; install them with this system's own tool")
    else:
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        problem = run(install)
        if problem is not None:  # its package lists may be old
            problem = run(["apt-get", "update"]) or run(install)
        skipped(what, problem) if problem else print(f"installed: {' '.join(missing)}")


def sources_for(suite: str, codename: str) -> tuple[str, str]:
    """(deb822 stanzas, one-line entries) of the machine's sources that carry its release, with the suite replaced."""
    stanzas, lines = [], []
    parts = Path("/etc/apt/sources.list.d")
    for path in sorted(parts.glob("*.sources")) if parts.exists() else []:
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
            if suites and codename in suites.group(1).split():
                stanzas.append(re.sub(r"^Suites:.*$", f"Suites: {suite}", stanza, flags=re.MULTILINE))
    for path in [Path("/etc/apt/sources.list"), *(sorted(parts.glob("*.list")) if parts.exists() else [])]:
        for line in path.read_text().splitlines() if path.exists() else []:
            if re.match(rf"deb\s.*\s{codename}\s", line):
                lines.append(re.sub(rf"\s{codename}\s", f" {suite} ", line, count=1))
    return "\n\n".join(stanzas) + "\n", "\n".join(lines) + "\n"


def codename() -> str:
    text = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    found = re.search(r"^VERSION_CODENAME=(\S+)$", text, re.MULTILINE)
    return found.group(1) if found and "ID=debian" in text.splitlines() else ""


def fetch(suite: str, wanted: dict[str, dict[str, Path]]) -> dict[str, str]:
    """Debian's programs of that suite: `wanted` is package -> program -> file to make of it. Returns package -> why it could not be had."""
    release = codename()
    if not release or not shutil.which("apt-get") or not shutil.which("dpkg"):
        return dict.fromkeys(wanted, "not a Debian machine")
    stanzas, lines = sources_for(suite, release)
    if not stanzas.strip() and not lines.strip():
        return dict.fromkeys(wanted, f"no package source for {release} to derive one for {suite} from")
    with tempfile.TemporaryDirectory(prefix="podium-apt-") as name:
        work = Path(name)
        for directory in ("sources", "state/lists/partial", "cache/archives/partial"):
            (work / directory).mkdir(parents=True)
        (work / "sources" / "suite.sources").write_text(stanzas)
        (work / "sources" / "suite.list").write_text(lines)
        options = [
            "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={work}/sources", "-o", f"Dir::State={work}/state",
            "-o", "Dir::State::Status=/var/lib/dpkg/status", "-o", f"Dir::Cache={work}/cache", "-o", "Debug::NoLocking=1",
            "-o", f"APT::Sandbox::User={'root' if os.geteuid() == 0 else ''}", "-o", "Acquire::Languages=none",
            "-o", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
        ]  # fmt: skip
        problem = run(["apt-get", *options, "update"])
        if problem is not None:
            return dict.fromkeys(wanted, problem)
        problems = {p: unpack(work, ["apt-get", *options, "download", f"{p}/{suite}"], p, programs) for p, programs in wanted.items()}
    return {package: why for package, why in problems.items() if why is not None}


def unpack(work: Path, download: list[str], package: str, programs: dict[str, Path]) -> str | None:
    """One package's programs; None when it worked, else why not."""
    unpacked = work / f"unpacked-{package}"
    problem = run(download, cwd=work)
    if problem is None:
        problem = run(["dpkg", "-x", str(next(work.glob(f"{package}_*.deb"))), str(unpacked)])
    for program, target in programs.items() if problem is None else ():
        found = unpacked / "usr" / "bin" / program
        if not found.exists():
            return f"the package holds no {program}"
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(".new")
        shutil.copyfile(found, fresh)
        fresh.chmod(0o755)
        fresh.rename(target)
    return problem


def install_kubectl(*, newest: bool) -> None:
    here = TOOLS / "kubectl"
    if not shutil.which("kubectl") and not here.exists():
        problem = fetch(KUBECTL_SUITE, {"kubectl": {"kubectl": here}}).get("kubectl")
        skipped("kubectl", problem) if problem else print(f"installed: {here.relative_to(ROOT)}")
    target = TOOLS / "kubectl-newest"
    if newest and not target.exists():
        problem = None
        for suite in (*NEWEST_SUITES, KUBECTL_SUITE):
            problem = fetch(suite, {"kubectl": {"kubectl": target}}).get("kubectl")
            if problem is None:
                print(f"installed: {target.relative_to(ROOT)} (from {suite})")
                return
        skipped("the newest kubectl", problem or "none found")


def install_peers() -> None:
    def there(program: str) -> bool:
        return bool(shutil.which(program, path=SEARCHED)) or (TOOLS / program).exists()

    wanted = {package: {p: TOOLS / p for p in programs} for package, programs in PEERS.items() if not all(map(there, programs))}
    problems = fetch(codename(), wanted) if wanted else {}
    for package in wanted:
        skipped(package, problems[package]) if package in problems else print(f"installed: {package} into {TOOLS.relative_to(ROOT)}")


def main(arguments: list[str]) -> int:
    install_packages()
    install_kubectl(newest="--tests" in arguments)
    if "--tests" in arguments:
        install_peers()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
