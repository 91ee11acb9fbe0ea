"""A simulation as one JSON document: the form of ``concordat agreement simulate --json``."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from agreements.canonical import digest
from agreements.gain_figures import Examples, FlowGains, ItemFigures, RecipientGains
from agreements.model import Agreement
from agreements.problems import Problem
from agreements.words import conditions
from broker.periods import Period
from broker.simulating import Simulation


def to_json(
    simulation: Simulation,
    draft: Agreement,
    problems: Iterable[Problem],
    *,
    period: Period,
    seconds: float,
) -> dict[str, Any]:
    """Return all of it. Numbers count events, but for ``permits``: those are flows' permits."""
    found = list(problems)
    gains = simulation.gains
    flows = list(gains.flows.values())
    return {
        "agreement": draft.id,
        "version": draft.version,
        "title": draft.title,
        "sha256": digest(draft),
        "valid": all(problem.severity != "error" for problem in found),
        "problems": [problem.to_json() for problem in found],
        "not_in_scheme": list(simulation.not_in_scheme),
        "since": _iso(period.since),
        "until": _iso(period.until),
        "first_decision": _moment(simulation.first_ms),
        "last_decision": _moment(simulation.last_ms),
        "compared_with": [
            {"agreement": agreement, "version": version, "decisions": decisions}
            for (agreement, version), decisions in sorted(gains.versions.items())
        ],
        "events": {
            "compared": gains.events,
            "not_held": simulation.not_held,
            "unopenable": _sorted(simulation.unopenable),
            "quarantined": _sorted(simulation.quarantined),
            "waiting": simulation.waiting,
            "unreadable": simulation.unreadable,
        },
        "permits": {
            "happened": sum(flow.permitted for flow in flows),
            "would": sum(flow.would_permit for flow in flows),
            "gained": sum(flow.gained.events for flow in flows),
            "lost": sum(flow.lost.events for flow in flows),
        },
        "recipients": {
            recipient: _recipient(told) for recipient, told in sorted(gains.recipients.items())
        },
        "flows": [_flow(flow, draft) for flow in flows],
        "uncovered": [
            {"publisher": publisher, "event_type": event_type, **_examples(told.nobody)}
            for (publisher, event_type), told in sorted(gains.types.items())
            if told.nobody.events
        ],
        "event_types": [
            {
                "publisher": publisher,
                "event_type": event_type,
                "events": told.events,
                "newly_covered": told.newly_covered,
                "no_longer_covered": told.no_longer_covered,
            }
            for (publisher, event_type), told in sorted(gains.types.items())
        ],
        "seconds": round(seconds, 3),
        "events_per_second": round(gains.events / seconds) if seconds else 0,
    }


def _recipient(told: RecipientGains) -> dict[str, Any]:
    return {
        "gained": told.gained,
        "lost": told.lost,
        "kept": told.kept,
        "first_time": _examples(told.first),
        "nothing_left": _examples(told.last),
        "new_items": _sorted(told.new_items),
        "gone_items": _sorted(told.gone_items),
    }


def _flow(flow: FlowGains, draft: Agreement) -> dict[str, Any]:
    told = next((conditions(one) for one in draft.flows if one.id == flow.flow), {})
    return {
        "flow": flow.flow,
        "recipient": flow.recipient,
        "obstacles": [
            {"reason": str(obstacle.reason), "detail": obstacle.detail}
            for obstacle in flow.obstacles
        ],
        "happened": flow.permitted,
        "would": flow.would_permit,
        "would_if_mended": flow.permits_if_mended,
        "held": flow.still_held,
        "gained": _examples(flow.gained) | {"from": _sorted(flow.gained_from)},
        "lost": _examples(flow.lost) | {"to": _sorted(flow.lost_to)},
        "refused": _reasons(flow.refused, told),
        "review": _reasons(flow.review, told),
        "items": {path: _item(item) for path, item in sorted(flow.items.items())},
        "never_present": flow.never_present,
    }


def _item(item: ItemFigures) -> dict[str, Any]:
    return {
        "disclosed": item.disclosed,
        "new": item.new,
        "gone": item.gone,
        "withheld": _sorted(item.withheld),
        "changed": [
            {"from": was or "as it is", "to": would or "as it is", "events": events}
            for (was, would), events in sorted(item.changed.items())
        ],
    }


def _reasons(
    kept: Mapping[tuple[str, str], Examples], told: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Tell each reason; ``text`` is the condition that was not met, as the draft has it."""
    return [
        {
            "reason": reason,
            "detail": detail,
            "text": told.get(detail, ""),
            **_examples(examples),
        }
        for (reason, detail), examples in sorted(kept.items())
    ]


def _examples(examples: Examples) -> dict[str, Any]:
    return {"events": examples.events, "examples": examples.ids}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
