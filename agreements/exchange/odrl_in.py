"""From an ODRL 2.2 policy in JSON-LD, ours or another's, to the draft of an agreement.

JSON-LD is read as far as ODRL's own examples go: the ODRL context, prefixes, full
addresses, single values or lists. What is not understood is listed as lost; remote
contexts are never fetched.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agreements.exchange.json_ld import Terms, listed, literal
from agreements.exchange.odrl_terms import EVENT, OPERATORS, PARTY, ROLES
from agreements.exchange.policy_fields import slug
from agreements.exchange.results import Document, Imported, Lost
from agreements.problems import AgreementInvalid, Problem
from agreements.source import Path, Source, path_text, read_source
from agreements.values import is_day, moment_text

_POLICIES: Final = frozenset({"Policy", "Set", "Offer", "Agreement", "Privacy", "Request"})
_NO_PLACE: Final = "an agreement has no place for it"
_ROLES: Final = {name.partition(":")[2]: role for role, name in ROLES.items()}
_BY_ODRL: Final = {theirs: ours for ours, theirs in OPERATORS.items()}
_MILLISECOND: Final = timedelta(milliseconds=1)


def import_odrl(text: str | bytes, *, name: str) -> Imported:
    """Return the draft that an ODRL policy makes.

    Raises AgreementInvalid when the text holds no ODRL policy.
    """
    return _Policy(read_source(text, name=name), name).read()


def draft_of(policy: Document) -> dict[str, Any]:
    """Return the draft that an ODRL policy of ours makes."""
    return _Policy(Source(policy), "the policy").read().document


class _Policy:
    """One policy on its way in."""

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name
        self.lost: list[Lost] = []
        self.document: dict[str, Any] = {"format": 1}
        self.terms = Terms()
        self.parties: dict[str, dict[str, Any]] = {}
        self.purposes: dict[str, dict[str, Any]] = {}
        self.uid = ""

    def read(self) -> Imported:
        data, at = self._found()
        self.terms.learn(data.get("@context"))
        fields = self.terms.fields(data, at)
        self.uid = str(fields.pop("uid", ("", at))[0])
        self.document["id"] = self.uid
        for key, field in _TEXTS.items():
            if key in fields:
                self.document[field] = fields.pop(key)[0]
        if "dct:creator" in fields:
            self.document["owner"] = self._name(fields.pop("dct:creator")[0])
        for party in listed(fields.pop("dct:contributor", (None, at))[0]):
            self._party(party, (*at, "dct:contributor"))
        for node, here in self._nodes(fields.pop("dpv:hasPurpose", None)):
            self._purpose(node, here)
        flows = [
            flow
            for number, (node, here) in enumerate(self._nodes(fields.pop("permission", None)), 1)
            if (flow := self._flow(node, here, number))
        ]
        for node, here in self._nodes(fields.pop("prohibition", None)):
            self._rule(node, here, "prohibited")
        for key in ("obligation", "duty"):
            for node, here in self._nodes(fields.pop(key, None)):
                self._rule(node, here, "duties")
        self._rest(fields, but=("@context", "@type", "profile"))
        return Imported(self._finished(flows), tuple(self.lost))

    def _found(self) -> tuple[Mapping[str, Any], Path]:
        data: Mapping[str, Any] = self.source.data
        at: Path = ()
        graph = data.get("@graph")
        if isinstance(graph, list) and len(graph) == 1 and isinstance(graph[0], Mapping):
            data, at = {"@context": data.get("@context"), **graph[0]}, ("@graph", 0)
        kinds = {self.terms.short(kind) for kind in listed(data.get("@type", data.get("type")))}
        rules = {"permission", "prohibition", "obligation"} & {
            self.terms.short(key) for key in data
        }
        if not (kinds & _POLICIES or rules):
            line, column = self.source.place(at) if self.source.places else (None, None)
            message = "expected an ODRL policy: its @type and its permissions"
            remedy = "give the policy itself, in JSON-LD"
            found = Problem("not-a-policy", "error", line, column, path_text(at), message, remedy)
            raise AgreementInvalid(self.name, [found])
        return data, at

    def _finished(self, flows: list[dict[str, Any]]) -> dict[str, Any]:
        document = self.document
        if self.purposes:
            document["purposes"] = list(self.purposes.values())
        for party in self.parties.values():
            provides = any(party["id"] in flow.get("from", ()) for flow in flows)
            receives = any(party["id"] in flow.get("to", ()) for flow in flows)
            direction = {(True, True): "both", (True, False): "provides", (False, True): "receives"}
            if (provides, receives) in direction:
                party["direction"] = direction[provides, receives]
        if self.parties:
            document["parties"] = list(self.parties.values())
        if flows:
            document["flows"] = flows
        return document

    def _flow(self, node: Mapping[str, Any], at: Path, number: int) -> dict[str, Any]:
        given = self.terms.fields(node, at)
        name = str(given.pop("uid", ("", at))[0]).rpartition("#")[2].removeprefix("flow-")
        flow: dict[str, Any] = {"id": slug(name) or f"flow-{number}"}
        if "dct:description" in given:
            flow["text"] = given.pop("dct:description")[0]
        for field, key in (("from", "assigner"), ("to", "assignee")):
            parties = [self._party(node, at) for node in listed(given.pop(key, (None, at))[0])]
            if parties:
                flow[field] = parties
        self._targets(flow, given.pop("target", None))
        self._take_actions(given.pop("action", None), "permitted")
        for constraint, here in self._nodes(given.pop("constraint", None)):
            self._constraint(flow, constraint, here)
        for duty, here in self._nodes(given.pop("duty", None)):
            if self.terms.short(duty.get("action")) == "obtainConsent":
                flow["needs_consent"] = True
            else:
                self._rule(duty, here, "duties")
        self._rest(given, but=("@type",))
        return flow

    def _targets(self, flow: dict[str, Any], given: Any) -> None:
        for node in listed(given[0] if given else None):
            uid = str(self.terms.full(node))
            if not uid.startswith(EVENT):
                self._use("data", uid)
                continue
            flow.setdefault("events", []).append(uid.removeprefix(EVENT))
            refined = node.get("refinement") if isinstance(node, Mapping) else None
            for refinement, here in self._nodes((refined, (*given[1], "refinement"))):
                if self.terms.short(refinement.get("leftOperand")) == "concordat:items":
                    items = listed(refinement.get("rightOperand"))
                    flow["items"] = [_item(str(item)) for item in items]
                else:
                    self.lost.append(Lost(path_text(here), _NO_PLACE))

    def _constraint(self, flow: dict[str, Any], node: Mapping[str, Any], at: Path) -> None:
        left = self.terms.short(node.get("leftOperand"))
        operator = self.terms.short(node.get("operator"))
        right = node.get("rightOperand")
        if left == "purpose" and operator in ("eq", "isA", "isAnyOf"):
            self._purposes_of(flow, right)
        elif left == "dateTime" and operator in ("gteq", "gt", "lt", "lteq"):
            self._time(operator, str(literal(right)), at)
        elif left == "concordat:age" and operator == "lteq":
            flow["max_age"] = literal(right)
        elif left == "concordat:assurance" and operator == "isAllOf":
            flow["requires"] = listed(right)
        elif (condition := _condition(left, operator, right)) is not None:
            flow.setdefault("when", []).append(condition)
        else:
            self.lost.append(Lost(path_text(at), f"a constraint on {left}: {_NO_PLACE}"))

    def _purposes_of(self, flow: dict[str, Any], right: Any) -> None:
        """Take the flow's purpose: one that the policy describes, or one of a vocabulary."""
        for given in listed(right):
            uid = str(self.terms.full(given))
            if uid in self.purposes:
                flow["purpose"] = self.purposes[uid]["code"]
            elif uid.startswith(f"{self.uid}#purpose-"):
                flow["purpose"] = uid.removeprefix(f"{self.uid}#purpose-")
            elif not any(uid in known.get("concepts", ()) for known in self.purposes.values()):
                name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", re.split(r"[/#:]", uid)[-1])
                self.purposes[uid] = {"code": slug(name), "concepts": [uid]}
                flow["purpose"] = slug(name)
            else:
                flow.setdefault("purpose", self._code_of(uid))

    def _code_of(self, concept: str) -> str:
        return next(
            str(known["code"])
            for known in self.purposes.values()
            if concept in known.get("concepts", ())
        )

    def _purpose(self, node: Mapping[str, Any], at: Path) -> None:
        given = self.terms.fields(node, at)
        uid = str(given.pop("uid", ("", at))[0])
        purpose = {"code": given.pop("dct:identifier", (slug(uid.rpartition("#")[2]), at))[0]}
        for key, field in (("dct:description", "text"), ("dpv:hasJustification", "necessity")):
            if key in given:
                purpose[field] = given.pop(key)[0]
        if "skos:broader" in given:
            concepts = listed(given.pop("skos:broader")[0])
            purpose["concepts"] = [self.terms.full(concept) for concept in concepts]
        self.purposes[uid] = purpose
        self._rest(given, but=("@type",))

    def _time(self, operator: str, text: str, at: Path) -> None:
        field = "starts_at" if operator in ("gteq", "gt") else "ends_at"
        moment = _moment(text, later=operator in ("gt", "lteq"))
        effective = self.document.setdefault("effective", {})
        if effective.setdefault(field, moment) != moment:
            self.lost.append(Lost(path_text(at), "an agreement starts and ends once for all flows"))

    def _rule(self, node: Mapping[str, Any], at: Path, field: str) -> None:
        """Take a prohibition or a duty; deleting after a time is a retention."""
        given = self.terms.fields(node, at)
        parties = [self._party(one, at) for one in listed(given.pop("assignee", (None, at))[0])]
        given.pop("target", None)
        actions = given.pop("action", None)
        period = _period(actions)
        if field == "duties" and period is not None and parties:
            kept = {"party": parties[0], "period": period}
            for key, name in (("concordat:trigger", "trigger"), ("dct:description", "disposal")):
                if key in given:
                    kept[name] = given.pop(key)[0]
            self.document.setdefault("retention", []).append(kept)
        else:
            self._take_actions(actions, field)
        self._rest(given, but=("@type", "uid"))

    def _take_actions(self, given: Any, field: str) -> None:
        if given is None:
            return
        value, at = given
        for action in listed(value):
            name = self.terms.short(self.terms.full(action))
            if isinstance(action, Mapping) and ("refinement" in action or "rdf:value" in action):
                self.lost.append(Lost(path_text(at), f"an action that is refined: {_NO_PLACE}"))
            elif field != "permitted" or name != "use":
                self._use(field, f"odrl:{name}" if ":" not in name else name)

    def _use(self, field: str, value: str) -> None:
        known = self.document.setdefault("use", {}).setdefault(field, [])
        if value not in known:
            known.append(value)

    def _party(self, node: Any, at: Path) -> str:
        uid = str(self.terms.full(node))
        name = uid.removeprefix(PARTY) if uid.startswith(PARTY) else slug(uid.rpartition("//")[2])
        party = self.parties.setdefault(name, {"id": name})
        if isinstance(node, Mapping):
            for kind in listed(node.get("@type", node.get("type"))):
                role = _ROLES.get(self.terms.short(kind).partition(":")[2])
                if role is not None:
                    party["role"] = role
            if "dct:title" in node:
                party["name"] = node["dct:title"]
            known = ("@type", "type", "uid", "@id", "id", "dct:title")
            for key in node.keys() - set(known):
                self.lost.append(Lost(path_text((*at, str(key))), _NO_PLACE))
        return name

    def _name(self, node: Any) -> str:
        return str(self.terms.full(node)).removeprefix(PARTY)

    def _nodes(self, given: Any) -> Iterator[tuple[Mapping[str, Any], Path]]:
        if given is None:
            return
        value, at = given
        for index, node in enumerate(listed(value)):
            here = (*at, index) if isinstance(value, list) else at
            if isinstance(node, Mapping):
                yield node, here
            else:
                self.lost.append(Lost(path_text(here), "expected fields, and got a single value"))

    def _rest(self, fields: Mapping[str, Any], *, but: Iterable[str]) -> None:
        for key, (_, at) in fields.items():
            if key not in but:
                self.lost.append(Lost(path_text(at), _NO_PLACE))


_TEXTS: Final = {"dct:title": "title", "dct:description": "summary", "owl:versionInfo": "version"}


def _condition(left: str, operator: str, right: Any) -> dict[str, Any] | None:
    for kind in ("item", "present"):
        prefix = f"concordat:{kind}/"
        if left.startswith(prefix):
            path = left.removeprefix(prefix)
            if kind == "present":
                return {"item": path, "present": right} if operator == "eq" else None
            ours = _BY_ODRL.get(operator)
            if ours is None:
                return None
            several = ours in ("in", "not_in")
            return {"item": path, ours: listed(right) if several else literal(right)}
    return None


def _item(text: str) -> dict[str, Any]:
    path, _, form = text.partition(" as ")
    if not form:
        return {"path": path}
    kind, _, coarser = form.partition(":")
    return {"path": path, "transform": {"generalise": coarser} if kind == "generalise" else form}


def _period(actions: Any) -> Any:
    """Return after which time a duty is to delete, if it is one."""
    for action in listed(actions[0] if actions else None):
        refined = action.get("refinement", ()) if isinstance(action, Mapping) else ()
        for refinement in listed(refined):
            if isinstance(refinement, Mapping) and str(refinement.get("leftOperand")).endswith(
                "elapsedTime"
            ):
                return literal(refinement.get("rightOperand"))
    return None


def _moment(text: str, *, later: bool) -> str:
    """Return a time as an agreement writes it: the first moment that is in, or is out."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        if later:
            moment += timedelta(days=1) if is_day(text) else _MILLISECOND
    except (ValueError, OverflowError):
        return text
    return moment_text(moment)
