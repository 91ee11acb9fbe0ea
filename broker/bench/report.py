"""The figures as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table


def tables(result: Mapping[str, Any]) -> Iterator[Table]:
    """Return the tables of what was measured."""
    if result["streams"]:
        yield _rates(result["streams"], result["python"])
    rest = list(_rest(result))
    if rest:
        table = Table(title="Cost of a step", title_justify="left")
        table.add_column("measured")
        table.add_column("cost", justify="right")
        for row in rest:
            table.add_row(*row)
        yield table
    if "simulate" in result:
        yield _simulated(result["simulate"])
    if "stopping" in result:
        yield _stopping(result["stopping"])
    if "audit" in result:
        yield _following(result["audit"]["following"])
        yield _memory(result["audit"]["following_peak_mb"])
        yield _audit(result["audit"])
    if "profile" in result:
        yield _profile(result["profile"])


def _rates(streams: Mapping[str, Mapping[str, float]], python: Mapping[str, Any]) -> Table:
    table = Table(
        title="Events a second, exactly once (medians)",
        title_justify="left",
        caption=f"Python {python['version']}{', hot modules compiled' * python['compiled']}",
        caption_justify="left",
    )
    table.add_column("streams")
    for title in ("bare pass-through", "1 recipient", "3 recipients"):
        table.add_column(title, justify="right")
    for name, rates in streams.items():
        table.add_row(
            name,
            f"{rates['passthrough_per_s']:,.0f}",
            f"{rates['path_1_recipient_per_s']:,.0f}  ({rates['path_1_ratio']:.3f})",
            f"{rates['path_3_recipients_per_s']:,.0f}  ({rates['path_3_ratio']:.3f})",
        )
    return table


def _rest(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, title in (("decide_us", "decision"), ("cedarpy_us", "cedarpy's decision")):
        for number, us in result.get(key, {}).items():
            yield f"{title}, {int(number):,} agreements", f"{us:,.1f} µs"
    for key, title in (("seal_us", "seal 1 KB"), ("open_us", "open 1 KB")):
        if key in result:
            yield title, f"{result[key]:.1f} µs"
    if "router_peak_mb" in result:
        yield "peak memory of a router", f"{result['router_peak_mb']:.0f} MB"


def _simulated(simulated: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="Simulating past events, events a second", title_justify="left")
    table.add_column("streams")
    for title in ("events", "router", "simulation"):
        table.add_column(title, justify="right")
    for name, rates in simulated.items():
        table.add_row(
            name,
            f"{rates['events']:,}",
            f"{rates['router_per_s']:,}",
            f"{rates['simulated_per_s']:,}  ({rates['ratio']:.2f})",
        )
    return table


def _stopping(stopping: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(
        title="From a stop to the last delivery under it, ms (median, 99 of 100)",
        title_justify="left",
    )
    table.add_column("streams")
    for title in ("routers", "events/s", "stops", "suspend", "revoke", "from being given in"):
        table.add_column(title, justify="right")
    for name, found in stopping.items():
        latencies = (found["suspend"], found["revoke"], found["from_submit"])
        table.add_row(
            name,
            *(f"{found[key]:,}" for key in ("routers", "events_per_s", "tries")),
            *(f"{one['p50_ms']:,}, {one['p99_ms']:,}" for one in latencies),
        )
    return table


def _following(following: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(
        title="Following the decisions, records a second (times the router's; CPU µs a record)",
        title_justify="left",
    )
    table.add_column("streams")
    for title in ("router", "route alone", "log", "store: sqlite", "store: postgresql"):
        table.add_column(title, justify="right")
    for name, found in following.items():
        paces = (found.get(worker) for worker in ("log", "sqlite", "postgresql"))
        table.add_row(
            name,
            f"{found['router_per_s']:,}",
            f"{found['route_per_s']:,}",
            *(
                f"{one['per_s']:,}  ({one['of_router']:.2f}; {one['cpu_us']:.0f})" if one else ""
                for one in paces
            ),
        )
    return table


def _memory(peaks: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="Peak memory of what follows, MB", title_justify="left")
    table.add_column("decisions")
    for worker in peaks:
        table.add_column(worker.replace("_", " "), justify="right")
    for number in next(iter(peaks.values())):
        table.add_row(f"{int(number):,}", *(f"{peaks[worker][number]:,.0f}" for worker in peaks))
    return table


def _audit(audit: Mapping[str, Any]) -> Table:
    table = Table(title="Finding a person in the query store, ms", title_justify="left")
    table.add_column("store")
    for title in ("decisions", "median", "95 of 100", "99 of 100", "first", "filled a second"):
        table.add_column(title, justify="right")
    keys = ("decisions", "median_ms", "p95_ms", "p99_ms", "first_ms", "filled_per_s")
    for name in ("sqlite", "postgresql"):
        if name in audit:
            table.add_row(name, *(f"{audit[name][key]:,}" for key in keys))
    return table


def _profile(profile: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="Where a router's time goes, µs an event", title_justify="left")
    table.add_column("stage")
    for recipients in profile:
        table.add_column(f"{recipients} recipient{'s'[: int(recipients) > 1]}", justify="right")
    for stage in next(iter(profile.values())):
        table.add_row(stage, *(f"{stages[stage]:.1f}" for stages in profile.values()))
    return table
