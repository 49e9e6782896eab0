"""Plans are made as often as what they depend on changes."""

import asyncio

from podium.objects.status import NotFound
from podium.telemetry.prometheus_operator.references import References


class Secrets:
    """A client that has these, by name, and counts who is asked for."""

    def __init__(self, **known):
        self.known = known
        self.asked = []

    async def get(self, resource, name, namespace):
        self.asked.append(name)
        if name not in self.known:
            raise NotFound(name)
        return {"data": self.known[name]}


def planner(*names):
    """A plan that looks up these; `made` counts how often it was made."""

    def plan(lookup):
        found = [lookup("secrets", "ns", name) for name in names]
        plan.made += 1
        return [value and value["data"] for value in found]

    plan.made = 0
    return plan


def test_a_plan_is_made_again_when_its_inputs_or_its_references_change():
    async def main():
        client = Secrets(a="1")
        references, plan = References(client), planner("a", "missing")

        async def planned(inputs):
            made = plan.made
            return await references.planned("key", inputs, plan), plan.made > made

        assert await planned(1) == (["1", None], True)
        assert await planned(1) == (["1", None], False)
        assert await planned(2) == (["1", None], True)
        asked = len(client.asked)
        references.forget()
        assert await planned(2) == (["1", None], False) and client.asked[asked:] == ["a", "missing"]  # read again, and the same
        client.known["a"] = "2"
        assert await planned(2) == (["1", None], False)  # nobody said that it may have changed
        references.forget()
        assert await planned(2) == (["2", None], True)
        client.known["missing"] = "3"
        references.forget()
        assert await planned(2) == (["2", "3"], True)
        references.keep({"other"})
        assert await planned(2) == (["2", "3"], True)

    asyncio.run(main())


def test_plans_of_others_are_theirs():
    async def main():
        references = References(Secrets(a="1", b="2"))
        assert await references.planned("one", 1, planner("a")) == ["1"]
        assert await references.planned("two", 1, planner("b")) == ["2"]
        assert await references.planned("one", 1, planner("b")) == ["1"]

    asyncio.run(main())
