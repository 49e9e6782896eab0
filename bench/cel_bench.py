"""CPU of CEL: our interpreter beside the engines on PyPI, as far as they are installed.

    pip install cel-expr-python common-expression-language cel-python
    python bench/cel_bench.py

Prints, for each engine: import, compilation of the rule over a pod, evaluation of a small expression and of that rule, and which of the
Kubernetes functions it compiles. One engine a process, so that imports are honest.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SMALL = "object.spec.replicas <= 5"
RULE = (
    "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits "
    "&& c.image.startsWith('registry.example.com/') && (!has(c.securityContext) || c.securityContext.runAsNonRoot))"
)
KUBERNETES = {
    "quantity": "quantity('1Gi').isLessThan(quantity('2Gi'))", "url": "url('https://a/').getHost() == 'a'", "ip": "ip('1.2.3.4').family() == 4",
    "cidr": "cidr('10.0.0.0/8').containsIP('10.1.2.3')", "find": "'a1'.find('[0-9]') == '1'", "isSorted": "[1, 2].isSorted()",
    "sum": "[1, 2].sum() == 3", "format": "'%d'.format([1]) == '1'", "optional": "{'a': 1}.?b.orValue(2) == 2",
    "two variables": "[1].all(i, v, i < v)", "semver": "semver('1.2.3').major() == 1", "sets": "sets.contains([1], [1])",
}  # fmt: skip
OBJECT = {"spec": {"replicas": 3}}
CONTAINER = {
    "name": "a",
    "image": "registry.example.com/shop:1",
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
    "securityContext": {"runAsNonRoot": True},
}
POD = {"metadata": {"name": "a"}, "spec": {"containers": [{**CONTAINER, "name": f"c{i}"} for i in range(3)]}}

Evaluate = Callable[[dict[str, Any]], Any]


def podium() -> Callable[[str], Evaluate]:
    from podium.objects import cel
    from podium.objects.cel.types import DYN

    environment = cel.Environment({"object": DYN})
    return lambda expression: cel.compile(expression, environment).evaluate


def cel_expr_python() -> Callable[[str], Evaluate]:
    from cel_expr_python import cel

    environment = cel.NewEnv(variables={"object": cel.Type.DYN})

    def compiled(expression: str) -> Evaluate:
        program = environment.compile(expression)
        return lambda bindings: program.eval(data=bindings).value()

    return compiled


def common_expression_language() -> Callable[[str], Evaluate]:
    import cel

    return lambda expression: cel.compile(expression).execute


def celpy() -> Callable[[str], Evaluate]:
    import celpy

    environment = celpy.Environment()

    def compiled(expression: str) -> Evaluate:
        program = environment.program(environment.compile(expression))
        return lambda bindings: program.evaluate({k: celpy.json_to_cel(v) for k, v in bindings.items()})

    return compiled


ENGINES = {f.__name__: f for f in (podium, cel_expr_python, common_expression_language, celpy)}


def measure(run: Callable[[], Any]) -> float:
    """Microseconds of CPU a call."""
    run()
    count, spent = 0, 0.0
    start = time.process_time()
    while spent < 0.3:
        for _ in range(20):
            run()
        count += 20
        spent = time.process_time() - start
    return spent / count * 1e6


def one(name: str) -> None:
    start = time.process_time()
    compiled = ENGINES[name]()
    imported = time.process_time() - start
    small, rule = compiled(SMALL), compiled(RULE)
    assert small({"object": OBJECT}) and rule({"object": POD})
    known = []
    for function, expression in KUBERNETES.items():
        try:
            if compiled(expression)({"object": OBJECT}):
                known.append(function)
        except BaseException:  # some engines panic
            continue
    figures = f"{imported * 1e3:7.0f} ms {measure(lambda: compiled(RULE)) / 1e3:9.2f} ms"
    figures += f" {measure(lambda: small({'object': OBJECT})):9.1f} us {measure(lambda: rule({'object': POD})):9.1f} us"
    print(f"{name:28}{figures}  {len(known)} of {len(KUBERNETES)}: {', '.join(known)}", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        one(sys.argv[1])
        return
    print(f"{'engine':28}{'import':>10} {'compile':>12} {'small':>12} {'pod':>12}  of the Kubernetes functions")
    for name in ENGINES:
        done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True)
        print(
            done.stdout, end="" if done.returncode == 0 else f"{name:28} not measured: {(done.stderr.strip().splitlines() or [''])[-1]}\n"
        )


if __name__ == "__main__":
    main()
