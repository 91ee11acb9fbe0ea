"""The folder sink: a line a delivery, once, readable by its owner only."""

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors import folder as module
from connectors.folder import FolderSink
from connectors.received import Position, Received, Unopened
from schemas.errors import ConfigurationError

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)


def a_delivery(
    offset: int, *, partition: int = 0, record: dict[str, Any] | None = None
) -> Received:
    """Build a delivery at a position, with an event id of its own."""
    return Received(
        event_id=f"00000000-0000-5000-8000-{partition:04d}{offset:08d}",
        event_type="uk.nhs.cpis.access.v1",
        publisher="anytown-nhs-trust",
        agreement="https://sharing.example/agreements/cpis",
        version=1,
        flow="access",
        purpose="protect-children",
        occurred_at=NOON,
        published_at=NOON,
        record={"nhsNumber": "9990000018"} if record is None else record,
        delivery=f"{partition:032x}{offset:032x}",
        position=Position(partition, offset),
    )


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_delivery_is_a_line_with_what_it_was_shared_under(tmp_path: Path) -> None:
    """The line has the event, the agreement with version and flow, and the view."""
    with FolderSink(tmp_path, "anytown-housing") as sink:
        assert sink.write([a_delivery(7)]) == 1
    (line,) = lines(tmp_path / "anytown-housing.jsonl")
    assert line["agreement"] == "https://sharing.example/agreements/cpis"
    assert (line["version"], line["flow"], line["purpose"]) == (1, "access", "protect-children")
    assert line["occurred_at"] == "2026-04-01T12:00:00Z"
    assert line["record"] == {"nhsNumber": "9990000018"}
    assert line["position"] == [0, 7]


def test_dates_times_and_bytes_have_a_form_in_json(tmp_path: Path) -> None:
    """Dates and times are RFC 3339, bytes base64, and text stays readable."""
    record = {"born": date(2010, 3, 27), "at": NOON, "raw": b"\x00\xff", "name": "Siân"}
    with FolderSink(tmp_path, "school") as sink:
        sink.write([a_delivery(1, record=record)])
    assert lines(sink.path)[0]["record"] == {
        "born": "2010-03-27",
        "at": "2026-04-01T12:00:00Z",
        "raw": "AP8=",
        "name": "Siân",
    }
    assert "Siân" in sink.path.read_text(encoding="utf-8")


def test_only_the_owner_can_read_what_is_received(tmp_path: Path) -> None:
    """Files have permissions 0600, also one that was there with others."""
    path = tmp_path / "received" / "school.jsonl"
    path.parent.mkdir()
    path.touch(mode=0o666)
    with FolderSink(path.parent, "school") as sink:
        sink.write([a_delivery(1)])
        sink.write_unopened([Unopened(Position(0, 2), "does-not-open", None, (), b"x")])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_comes_again_after_a_crash_is_written_once(tmp_path: Path) -> None:
    """A new process that is given an uncommitted batch again passes over its lines."""
    with FolderSink(tmp_path, "school") as sink:
        sink.write([a_delivery(1), a_delivery(2)])
    with FolderSink(tmp_path, "school") as sink:
        assert sink.write([a_delivery(1), a_delivery(2), a_delivery(3)]) == 1
        assert sink.write([a_delivery(3)]) == 0
    assert [line["position"][1] for line in lines(sink.path)] == [1, 2, 3]


def test_a_batch_that_repeats_a_delivery_writes_it_once(tmp_path: Path) -> None:
    """The same position twice in one call is one line."""
    with FolderSink(tmp_path, "school") as sink:
        assert sink.write([a_delivery(1), a_delivery(1)]) == 1


def test_an_event_that_the_broker_delivers_anew_is_written_anew(tmp_path: Path) -> None:
    """A replay under today's rules is sealed anew, and so is another delivery."""
    first = a_delivery(1)
    with FolderSink(tmp_path, "school") as sink:
        sink.write([first])
        assert sink.write([replace(first, delivery="f" * 64)]) == 1


def test_a_delivery_that_somebody_appended_again_is_written_once(tmp_path: Path) -> None:
    """The same sealed bytes at another place in the topic are the same delivery."""
    first = a_delivery(1)
    with FolderSink(tmp_path, "school") as sink:
        sink.write([first])
        assert sink.write([replace(first, position=Position(0, 9))]) == 0


def test_a_line_cut_off_by_a_crash_is_removed_and_written_whole(tmp_path: Path) -> None:
    """What a crash left half-written was never committed, and comes again."""
    with FolderSink(tmp_path, "school") as sink:
        sink.write([a_delivery(1), a_delivery(2)])
    whole = sink.path.read_bytes()
    for cut in (1, 20, len(whole) // 2 - 3):
        sink.path.write_bytes(whole[:-cut])
        with FolderSink(tmp_path, "school") as sink:
            assert sink.write([a_delivery(1), a_delivery(2)]) == 1
        assert sink.path.read_bytes() == whole


def test_two_processes_on_one_file_write_each_delivery_once(tmp_path: Path) -> None:
    """A sink first learns what another has added since."""
    with FolderSink(tmp_path, "school") as one, FolderSink(tmp_path, "school") as other:
        assert one.write([a_delivery(1)]) == 1
        assert other.write([a_delivery(1), a_delivery(2)]) == 1
        assert one.write([a_delivery(2), a_delivery(3)]) == 1
    assert len(lines(one.path)) == 3


def test_a_file_that_somebody_emptied_is_begun_again(tmp_path: Path) -> None:
    """After the file is taken over and emptied, new deliveries are written."""
    with FolderSink(tmp_path, "school") as sink:
        sink.write([a_delivery(1)])
        os.truncate(sink.path, 0)
        assert sink.write([a_delivery(2)]) == 1
    assert len(lines(sink.path)) == 1


def test_lines_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    """Whatever else is in the file stays, and nothing stops."""
    path = tmp_path / "school.jsonl"
    path.write_bytes(b"not json\n[]\n{}\n\xff\n")
    with FolderSink(tmp_path, "school") as sink:
        assert sink.write([a_delivery(1)]) == 1
    assert path.read_bytes().startswith(b"not json\n[]\n{}\n\xff\n")


def test_memory_is_bounded_however_long_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last lines are remembered, and only the end of a large file is read."""
    monkeypatch.setattr(module, "REMEMBERED_LINES", 10)
    monkeypatch.setattr(module, "REMEMBERED_BYTES", 4_000)
    with FolderSink(tmp_path, "school") as sink:
        sink.write([a_delivery(offset) for offset in range(100)])
        assert len(sink._file._keys) == 10
    with FolderSink(tmp_path, "school") as sink:
        assert sink.write([a_delivery(offset) for offset in range(95, 101)]) == 1
        assert len(sink._file._keys) <= 10
    assert len(lines(sink.path)) == 101


def test_what_did_not_open_is_kept_sealed(tmp_path: Path) -> None:
    """It goes to a file of its own with the reason, once, and can be opened later."""
    problem = Unopened(Position(0, 4), "does-not-open", None, (("ce_id", b"x"),), b"sealed")
    with FolderSink(tmp_path, "school") as sink:
        assert sink.write_unopened([]) == 0
        assert not sink.unopened_path.exists()
        assert sink.write_unopened([problem]) == 1
        assert sink.write_unopened([problem]) == 0
    (line,) = lines(sink.unopened_path)
    assert (line["code"], line["sealed"], line["position"]) == ("does-not-open", "c2VhbGVk", [0, 4])


@pytest.mark.parametrize("recipient", ["", "../school", "a/b", ".hidden", "School", "a" * 101])
def test_a_recipient_cannot_name_a_file_elsewhere(tmp_path: Path, recipient: str) -> None:
    """The file's name is a party's id and nothing else."""
    with pytest.raises(ConfigurationError):
        FolderSink(tmp_path, recipient)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Personal data is not written through a link that somebody has put there."""
    (tmp_path / "school.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        FolderSink(tmp_path, "school")
