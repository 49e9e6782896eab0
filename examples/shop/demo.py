"""The demo: a cluster, the shop in it, a call, a scale-up, a pod's death and recovery.

    make demo              in the default data directory; the cluster stays, to go on with
    make demo CHECK=1      in a temporary one; ends it, and fails unless everything worked and nothing is left

Standard library only; it drives Podium and the stock kubectl as a user would.
"""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHOP = ROOT / "examples" / "shop"
IMAGE = "podium.local/shop:1"
DEPLOYMENTS = ("notification", "payment", "auth", "frontend")
PATIENCE_S = 90.0
CALL_PATIENCE_S = 10.0


class Failed(Exception):
    """A step of the demo did not do what it should."""


class Demo:
    def __init__(self, data_dir: Path | None, environment: dict[str, str]) -> None:
        self._where = ["--data-dir", str(data_dir)] if data_dir else []
        self._environment = environment
        self._kubectl = shutil.which("kubectl") or str(ROOT / ".tools" / "kubectl")
        self._context = "podium"

    def podium(self, *arguments: str) -> str:
        return self._run([sys.executable, "-m", "podium", *arguments, *self._where])

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return self._run([self._kubectl, "--context", self._context, *arguments], stdin)

    def _run(self, command: list[str], stdin: str = "") -> str:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=self._environment, cwd=ROOT, check=False)
        if done.returncode != 0:
            shown = " ".join(command[command.index("podium") :] if "podium" in command else ["kubectl", *command[1:]])
            raise Failed(f"`{shown}` failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def start(self) -> dict[str, str]:
        """The cluster's description."""
        said = self.podium("up", "--detach").strip().splitlines()
        for line in said:
            tell(line)
            if ", context " in line:
                self._context = line.partition(", context ")[2].split()[0]
        return dict(json.loads(self.podium("status", "--output", "json")))

    def load_image(self) -> None:
        with tempfile.TemporaryDirectory(prefix="podium-image-") as directory:
            archive = f"{directory}/shop.tar"
            self._run([sys.executable, "-m", "podium.node.images", "python", archive, IMAGE, f"{SHOP / 'services'}=/shop"])
            self.podium("image", "load", archive)

    def apply(self) -> None:
        self.kubectl("apply", "-f", str(SHOP / "manifests" / "00-namespace.yaml"))
        code = self.kubectl(
            "-n", "shop", "create", "configmap", "shop-code", f"--from-file={SHOP / 'services'}", "--dry-run=client", "-o", "yaml"
        )
        self.kubectl("apply", "-f", "-", stdin=code)
        if "shop-payment" not in self.kubectl("-n", "shop", "get", "secrets", "-o", "name"):
            key = base64.b64encode(secrets.token_bytes(18)).decode()
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "shop-payment", "namespace": "shop"},
                "stringData": {"api-key": key},
            }
            self.kubectl("create", "-f", "-", stdin=json.dumps(secret))
        self.kubectl("apply", "-f", str(SHOP / "manifests"))

    def rollout(self) -> None:
        for name in DEPLOYMENTS:
            said = self.kubectl("-n", "shop", "rollout", "status", f"deployment/{name}", f"--timeout={PATIENCE_S:.0f}s")
            tell(said.strip().splitlines()[-1])

    def address(self) -> str:
        spec = json.loads(self.kubectl("-n", "shop", "get", "service", "frontend", "-o", "json"))["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/checkout?user=ada&item=book&amount=12"

    def ready_pods(self, app: str) -> list[str]:
        """Names of pods that are ready and are not being deleted."""
        found = json.loads(self.kubectl("-n", "shop", "get", "pods", "-l", f"app={app}", "-o", "json"))["items"]
        return [p["metadata"]["name"] for p in found if "deletionTimestamp" not in p["metadata"] and is_ready(p)]


def is_ready(pod: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def call(address: str) -> str:
    """One checkout; raises Failed unless it is answered with success."""
    try:
        with urllib.request.urlopen(address, timeout=CALL_PATIENCE_S) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        raise Failed(f"the shop did not answer at {address}: {error}") from error


def wait(what: str, condition: Callable[[], bool]) -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE_S:
            raise Failed(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def answers(address: str) -> bool:
    try:
        call(address)
    except Failed:
        return False
    return True


def headline(text: str) -> None:
    print(f"\n== {text}", flush=True)


def tell(text: str) -> None:
    print(f"   {text}", flush=True)


def show(demo: Demo) -> None:
    headline("A cluster")
    about = demo.start()
    tell(f"pods run as {'containers' if about['runtime'] == 'cri' else 'processes of this machine'}")
    if about["runtime"] == "cri":
        demo.load_image()
        tell(f"image {IMAGE} built from this machine's files and loaded")
    headline("The shop: frontend -> auth -> payment -> notification")
    demo.apply()
    began = time.monotonic()
    demo.rollout()
    tell(f"all ready {time.monotonic() - began:.1f} s after kubectl apply")
    headline("A call through its Service")
    address = demo.address()
    wait("the Service answers", lambda: answers(address))
    for _ in range(2):
        tell(call(address).strip())
    headline("Scale the frontend to 4")
    demo.kubectl("-n", "shop", "scale", "deployment/frontend", "--replicas=4")
    tell(f"4 ready after {wait('4 frontends', lambda: len(demo.ready_pods('frontend')) == 4):.1f} s")
    headline("A pod dies")
    victim = demo.ready_pods("frontend")[0]
    demo.kubectl("-n", "shop", "delete", "pod", victim, "--wait=false")
    took = wait("recovery", lambda: len(demo.ready_pods("frontend")) == 4 and victim not in demo.ready_pods("frontend"))
    tell(f"{victim} deleted; 4 ready again after {took:.1f} s")
    wait("the Service answers", lambda: answers(address))
    tell(call(address).strip())


def say_next() -> None:
    headline("Try next")
    for line in (
        "kubectl -n shop get pods -o wide",
        "kubectl -n shop logs deployment/payment --tail=3",
        "kubectl -n shop scale deployment/notification --replicas=0   # then call: it says who is missing",
        "kubectl -n shop rollout restart deployment/frontend && kubectl -n shop rollout status deployment/frontend",
        "podium status",
        "podium down",
    ):
        tell(line)


def leftovers(data_dir: Path, cluster_id: str) -> list[str]:
    """What a cluster that is down must not have left on this machine."""
    name = f"podium-{cluster_id}"
    found = []
    for entry in sorted(e for e in os.listdir("/proc") if e.isdigit()) if Path("/proc").exists() else []:
        try:
            command = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(data_dir) in command and int(entry) != os.getpid():
            found.append(f"process {entry}: {command.strip()}")
    found += [f"network namespace {p.name}" for p in sorted(Path("/run/netns").glob(f"{name}*"))]
    found += [f"network device {p.name}" for pattern in (name, f"pd{cluster_id}*") for p in sorted(Path("/sys/class/net").glob(pattern))]
    found += [f"control group {p}" for pattern in (name, f"*/{name}") for p in sorted(Path("/sys/fs/cgroup").glob(pattern))]
    mounts = Path("/proc/self/mounts")
    found += [f"mount {line.split()[1]}" for line in (mounts.read_text().splitlines() if mounts.exists() else []) if str(data_dir) in line]
    if os.geteuid() == 0 and shutil.which("nft"):
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        found += [f"nftables {line}" for line in tables.splitlines() if name in line.split()]
    return found


def check() -> int:
    with tempfile.TemporaryDirectory(prefix="podium-demo-") as directory:
        data_dir = Path(directory) / "cluster"
        demo = Demo(data_dir, {**os.environ, "KUBECONFIG": f"{directory}/kubeconfig"})
        problem: Failed | None = None
        try:
            show(demo)
        except Failed as error:
            problem = error
            show_logs(data_dir)
        headline("Down")
        settings = data_dir / "cluster.json"
        cluster_id = json.loads(settings.read_text())["cluster_id"] if settings.exists() else ""
        if cluster_id:
            tell(demo.podium("down").strip())
        left = leftovers(data_dir, cluster_id)
        for line in left:
            tell(f"left: {line}")
        if (Path(directory) / "kubeconfig").exists():
            left.append("kubeconfig")
            tell("left: an entry in the kubeconfig")
        if not left:
            tell("nothing is left")
    if problem is not None:
        print(f"demo: {problem}", file=sys.stderr)
    return 1 if problem is not None or left else 0


def show_logs(data_dir: Path) -> None:
    for log in sorted((data_dir / "log").glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-15:]
        print(f"-- {log.name}", *lines, sep="\n", file=sys.stderr)


def main() -> int:
    if "--check" in sys.argv[1:]:
        return check()
    try:
        show(Demo(None, dict(os.environ)))
    except Failed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    say_next()
    return 0


if __name__ == "__main__":
    sys.exit(main())
