"""CPU per operation of the API server under the shared load script, summed over the cluster's processes that serve the API.

Needs ../shared/bench/api_load.py beside the project (or --script). Prints the script's JSON lines.
"""

import argparse
import base64
import subprocess
import sys
from pathlib import Path

import yaml
from clusters import Running, cluster

SCRIPT = Path(__file__).resolve().parents[2] / "shared" / "bench" / "api_load.py"


def credentials(running: Running) -> tuple[str, Path, Path]:
    """(server, certificate, key) of the administrator, as files."""
    config = yaml.safe_load((running.data_dir / "kubeconfig").read_text())
    user = config["users"][0]["user"]
    certificate, key = running.data_dir / "bench.crt", running.data_dir / "bench.key"
    certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.touch(mode=0o600)
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    return config["clusters"][0]["cluster"]["server"], certificate, key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", type=Path, default=SCRIPT)
    parser.add_argument("--phase", nargs="+", default=[])
    arguments = parser.parse_args()
    if not arguments.script.exists():
        print(f"api_bench: skipped: {arguments.script} is not there", file=sys.stderr)
        return
    with cluster("--runtime", "simulated", "--simulated-nodes", "0") as running:
        server, certificate, key = credentials(running)
        pids = [f"{name}={pid}" for name, pid in running.pids().items() if name == "control-plane"]
        command = [sys.executable, str(arguments.script), "--server", server, "--cert", str(certificate), "--key", str(key)]
        for pid in pids:
            command += ["--pid", pid]
        if arguments.phase:
            command += ["--phase", *arguments.phase]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
