"""An SSDA903 return: every row is an event or a rejection with its place."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.rows import LINE_LIMIT_CHARACTERS, BadLine, FileRejected
from connectors.ssda903 import MISSING, PLACEMENT, Reason, Rejection, Row, read_return

SAMPLE = Path(__file__).parents[4] / "shared" / "samples" / "ssda903"
TODAY = date(2024, 3, 31)
ANYTOWN = "E08000999"

EPISODES = (
    "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,URN"
)
HEADER = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB"
MISSINGS = "CHILD,DOB,MISSING,MIS_START,MIS_END"

A_CHILD = "1001,2,27/03/2010,WBRI,G330200112001,,"
AN_EPISODE = "1001,15/02/2016,L,C2,N3,U1,PR0,14/08/2017,X1,CLOSE,AY1 7TT,OT2 9FW,4244474"
A_MISSING = "1001,27/03/2010,M,21/11/2017,04/01/2018"


def a_return(
    folder: Path,
    *,
    episodes: bytes | list[str] | None = None,
    header: bytes | list[str] | None = None,
    missing: bytes | list[str] | None = None,
) -> Path:
    """Write a return with one child and one good row in each file, but for what is given."""
    for name, columns, rows in (
        ("episodes.csv", EPISODES, [AN_EPISODE] if episodes is None else episodes),
        ("header.csv", HEADER, [A_CHILD] if header is None else header),
        ("missing.csv", MISSINGS, [A_MISSING] if missing is None else missing),
    ):
        data = rows if isinstance(rows, bytes) else "\n".join([columns, *rows, ""]).encode()
        (folder / name).write_bytes(data)
    return folder


def outcomes(folder: Path) -> Iterator[Row | Rejection]:
    """Read with the date and the council that the tests share."""
    return read_return(folder, local_authority=ANYTOWN, today=TODAY)


def rejections(folder: Path) -> list[tuple[str, int, str, str]]:
    """Return place and reason of what was rejected."""
    return [
        (item.file, item.line, item.column, str(item.reason))
        for item in outcomes(folder)
        if isinstance(item, Rejection)
    ]


def with_value(row: str, columns: str, column: str, value: str) -> str:
    """Put another value into one column of a row."""
    values = row.split(",")
    values[columns.split(",").index(column)] = value
    return ",".join(values)


def test_a_placement_episode_is_joined_with_the_row_of_its_child(tmp_path: Path) -> None:
    """The event has the episode's columns and the child's birth date, sex, ethnicity and UPN."""
    row = next(outcomes(a_return(tmp_path)))
    assert isinstance(row, Row)
    assert (row.file, row.line) == ("episodes.csv", 2)
    assert row.event.event_type == PLACEMENT
    assert row.event.record == {
        "childId": "1001",
        "upn": "G330200112001",
        "birthDate": date(2010, 3, 27),
        "sex": "2",
        "ethnicity": "WBRI",
        "decom": date(2016, 2, 15),
        "rne": "L",
        "legalStatus": "C2",
        "cin": "N3",
        "placementType": "U1",
        "placementProvider": "PR0",
        "dec": date(2017, 8, 14),
        "rec": "X1",
        "reasonPlaceChange": "CLOSE",
        "homePostcode": "AY1 7TT",
        "placementPostcode": "OT2 9FW",
        "urn": "4244474",
        "localAuthority": ANYTOWN,
        "addressConfidential": False,
    }


def test_an_episode_occurred_when_the_last_thing_it_tells_of_happened(tmp_path: Path) -> None:
    """An open episode occurred at its start, a ceased one at its end, in UTC."""
    still_open = with_value(AN_EPISODE, EPISODES, "DEC", "").replace("15/02", "16/02")
    ceased, begun = list(outcomes(a_return(tmp_path, episodes=[AN_EPISODE, still_open])))[:2]
    assert isinstance(ceased, Row)
    assert isinstance(begun, Row)
    assert ceased.event.occurred_at == datetime(2017, 8, 14, tzinfo=UTC)
    assert begun.event.occurred_at == datetime(2016, 2, 16, tzinfo=UTC)


def test_the_natural_key_is_the_council_the_child_and_the_start(tmp_path: Path) -> None:
    """A row that is corrected later keeps its natural key."""
    keys = [
        item.event.natural_key for item in outcomes(a_return(tmp_path)) if isinstance(item, Row)
    ]
    assert keys == [f"{ANYTOWN}/1001/2016-02-15", f"{ANYTOWN}/1001/2017-11-21"]


def test_a_missing_episode_is_an_event_of_its_own_type(tmp_path: Path) -> None:
    """``missing.csv`` gives missing episodes, with their kind, start and end."""
    *_, row = outcomes(a_return(tmp_path))
    assert isinstance(row, Row)
    assert row.event.event_type == MISSING
    assert row.event.record["missingType"] == "M"
    assert row.event.occurred_at == datetime(2018, 1, 4, tzinfo=UTC)


def test_bad_upns_and_postcodes_travel(tmp_path: Path) -> None:
    """Withholding what does not validate is the router's: the source lets it through."""
    row = with_value(AN_EPISODE, EPISODES, "HOME_POST", "NOT A POSTCODE")
    child = with_value(A_CHILD, HEADER, "UPN", "nonsense")
    first = next(outcomes(a_return(tmp_path, episodes=[row], header=[child])))
    assert isinstance(first, Row)
    assert first.event.record["homePostcode"] == "NOT A POSTCODE"
    assert first.event.record["upn"] == "nonsense"


def test_a_return_without_missing_episodes_is_complete(tmp_path: Path) -> None:
    """``missing.csv`` may be absent."""
    (a_return(tmp_path) / "missing.csv").unlink()
    assert len(list(outcomes(tmp_path))) == 1


def test_children_known_to_be_at_a_secret_address_are_marked(tmp_path: Path) -> None:
    """A return cannot say that an address is confidential, so the caller may."""
    folder = a_return(tmp_path)
    row = next(read_return(folder, local_authority=ANYTOWN, today=TODAY, confidential={"1001"}))
    assert isinstance(row, Row)
    assert row.event.record["addressConfidential"] is True


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("CHILD", "", Reason.MISSING_VALUE),
        ("CHILD", "2002", Reason.NO_SUCH_CHILD),
        ("DECOM", "", Reason.MISSING_VALUE),
        ("DECOM", "2016-02-15", Reason.NOT_A_DATE),
        ("DECOM", "15/2/2016", Reason.NOT_A_DATE),
        ("DECOM", "31/02/2016", Reason.NOT_A_DATE),
        ("DECOM", "15/02/16", Reason.NOT_A_DATE),
        ("DECOM", "\u0661\u0665/02/2016", Reason.NOT_A_DATE),
        ("DECOM", "00/00/0000", Reason.NOT_A_DATE),
        ("DECOM", "15/02/1016", Reason.DATE_OUT_OF_RANGE),
        ("DECOM", "01/04/2024", Reason.DATE_OUT_OF_RANGE),
        ("DECOM", "26/03/2010", Reason.DATES_OUT_OF_ORDER),
        ("DEC", "14/02/2016", Reason.DATES_OUT_OF_ORDER),
        ("RNE", "X", Reason.UNKNOWN_CODE),
        ("RNE", "l", Reason.UNKNOWN_CODE),
        ("LS", "L4", Reason.UNKNOWN_CODE),
        ("CIN", "N9", Reason.UNKNOWN_CODE),
        ("CIN", "", Reason.MISSING_VALUE),
        ("PLACE", "Q1", Reason.UNKNOWN_CODE),
        ("PLACE_PROVIDER", "PR9", Reason.UNKNOWN_CODE),
        ("REC", "E10", Reason.UNKNOWN_CODE),
        ("REASON_PLACE_CHANGE", "WHY", Reason.UNKNOWN_CODE),
    ],
)
def test_a_bad_value_rejects_its_row_by_column_and_reason(
    tmp_path: Path, column: str, value: str, reason: Reason
) -> None:
    """The rejection names file, line, column and a stable reason."""
    bad = with_value(AN_EPISODE, EPISODES, column, value)
    folder = a_return(tmp_path, episodes=[AN_EPISODE, bad], missing=[])
    assert rejections(folder) == [("episodes.csv", 3, column, reason)]


@pytest.mark.parametrize("column", ["PLACE_PROVIDER", "DEC", "REC", "REASON_PLACE_CHANGE", "URN"])
def test_a_value_that_may_be_blank_is_absent(tmp_path: Path, column: str) -> None:
    """The 2024 list says which columns may be blank."""
    row = with_value(AN_EPISODE, EPISODES, column, "")
    first = next(outcomes(a_return(tmp_path, episodes=[row])))
    assert isinstance(first, Row)
    assert None in first.event.record.values()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("MISSING", "X", Reason.UNKNOWN_CODE),
        ("MIS_START", "", Reason.MISSING_VALUE),
        ("MIS_END", "20/11/2017", Reason.DATES_OUT_OF_ORDER),
        ("DOB", "28/03/2010", Reason.DISAGREES_WITH_HEADER),
        ("CHILD", "2002", Reason.NO_SUCH_CHILD),
    ],
)
def test_a_bad_missing_episode_is_rejected(
    tmp_path: Path, column: str, value: str, reason: Reason
) -> None:
    """The rows of ``missing.csv`` are held to the same rules, and to the header's birth date."""
    bad = with_value(A_MISSING, MISSINGS, column, value)
    folder = a_return(tmp_path, missing=[bad])
    assert rejections(folder) == [("missing.csv", 2, column, reason)]


@pytest.mark.parametrize(
    ("column", "value"), [("SEX", "3"), ("DOB", "never"), ("ETHNIC", "ZZZZ"), ("ETHNIC", "")]
)
def test_a_child_whose_header_row_is_bad_has_no_events(
    tmp_path: Path, column: str, value: str
) -> None:
    """The rows of that child are rejected, and say where the cause is."""
    folder = a_return(tmp_path, header=[with_value(A_CHILD, HEADER, column, value)], missing=[])
    (rejection,) = outcomes(folder)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == Reason.HEADER_ROW_REJECTED
    assert f"header.csv, line 2, column {column}" in rejection.message


def test_a_child_with_two_header_rows_is_not_believed(tmp_path: Path) -> None:
    """Neither of two rows for one child is taken, whichever came first."""
    folder = a_return(tmp_path, header=[A_CHILD, A_CHILD.replace("WBRI", "WIRI")], missing=[])
    assert rejections(folder) == [("episodes.csv", 2, "CHILD", Reason.HEADER_ROW_REJECTED)]


def test_a_row_given_twice_is_one_event(tmp_path: Path) -> None:
    """The same child and start date a second time is rejected."""
    folder = a_return(tmp_path, episodes=[AN_EPISODE, AN_EPISODE], missing=[])
    assert rejections(folder) == [("episodes.csv", 3, "", Reason.REPEATED_ROW)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (AN_EPISODE.encode() + b",extra", BadLine.WRONG_NUMBER_OF_FIELDS),
        (b"1001,15/02/2016,L", BadLine.WRONG_NUMBER_OF_FIELDS),
        (AN_EPISODE.replace("AY1 7TT", '"AY1 7TT').encode(), BadLine.NOT_CSV),
        (AN_EPISODE.replace("AY1 7TT", "Caf\xe9").encode("cp1252"), BadLine.NOT_UTF8),
        (AN_EPISODE.encode() + b"x" * LINE_LIMIT_CHARACTERS, BadLine.TOO_LONG),
        (AN_EPISODE.encode() + b"x" * 5 * LINE_LIMIT_CHARACTERS, BadLine.TOO_LONG),
    ],
)
def test_a_line_that_is_no_row_spoils_only_itself(
    tmp_path: Path, line: bytes, reason: BadLine
) -> None:
    """The row after it is read, with its own number."""
    good = AN_EPISODE.encode()
    folder = a_return(
        tmp_path, episodes=b"\n".join([EPISODES.encode(), line, good, b""]), missing=[]
    )
    bad, row = outcomes(folder)
    assert isinstance(bad, Rejection)
    assert (bad.line, bad.reason) == (2, reason)
    assert isinstance(row, Row)
    assert row.line == 3


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    """A byte order mark, CRLF, quotes, spaces, empty lines and moved columns change nothing."""
    plain = next(outcomes(a_return(tmp_path)))
    columns, values = EPISODES.lower().split(","), AN_EPISODE.split(",")
    text = "\r\n".join(
        [
            ",".join([*reversed(columns), "notes"]),
            ",".join([*(f'" {value} "' for value in reversed(values)), '"a, b"']),
            "",
            "",
        ]
    )
    fancy = list(outcomes(a_return(tmp_path, episodes=b"\xef\xbb\xbf" + text.encode(), missing=[])))
    assert fancy == [plain]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        AN_EPISODE.encode() + b"\n",
        EPISODES.replace("DECOM", "START").encode() + b"\n",
        EPISODES.encode() + b",DECOM\n",
        EPISODES.replace(",", ";").encode() + b"\n",
        EPISODES.encode("utf-16") + b"\n",
        b"PK\x03\x04" + bytes(range(256)) * 300,
    ],
)
def test_a_file_that_is_not_the_list_is_refused(tmp_path: Path, data: bytes) -> None:
    """The error names the file and what was expected, and nothing that was read."""
    folder = a_return(tmp_path, episodes=data)
    with pytest.raises(FileRejected, match=r"^episodes\.csv: expected a header row") as caught:
        list(outcomes(folder))
    assert caught.value.code == "file-rejected"
    assert "1001" not in str(caught.value)


def test_a_folder_without_the_return_is_refused(tmp_path: Path) -> None:
    """The error says which file is missing."""
    with pytest.raises(FileRejected, match=r"header\.csv"):
        list(outcomes(tmp_path))
    with pytest.raises(FileRejected, match="folder"):
        list(outcomes(tmp_path / "nowhere"))


@given(lines=st.lists(st.binary(max_size=200), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_every_line_that_is_not_empty_has_one_outcome(
    tmp_path: Path, lines: list[bytes]
) -> None:
    """No bytes stop the reading, and the good row after them is read."""
    body = b"\n".join([EPISODES.encode(), *lines, AN_EPISODE.encode(), b""])
    folder = a_return(tmp_path, episodes=body, missing=[])
    found = list(outcomes(folder))
    text = body.decode("utf-8-sig", errors="surrogateescape").replace("\r\n", "\n")
    expected = [line for line in text.replace("\r", "\n").split("\n")[1:] if line.strip()]
    assert len(found) == len(expected)
    assert isinstance(found[-1], Row)


@given(value=st.text(alphabet=st.characters(codec="utf-8"), min_size=5, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_rejection_never_repeats_what_was_read(tmp_path: Path, value: str) -> None:
    """Messages go to logs and reports: they hold places, never values."""
    marked = f"zq{value}zq"
    for column in ("CHILD", "DECOM", "RNE", "PLACE"):
        row = with_value(AN_EPISODE, EPISODES, column, '"' + marked.replace('"', "") + '"')
        for item in outcomes(a_return(tmp_path, episodes=[row], missing=[])):
            assert isinstance(item, Rejection)
            assert "zq" not in item.message


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the public samples are not beside the project")
def test_the_public_sample_return_is_read_whole() -> None:
    """5,050 placement and 43 missing episodes, none of them unreadable."""
    counts = Counter(
        item.event.event_type if isinstance(item, Row) else item.reason
        for item in read_return(SAMPLE, local_authority=ANYTOWN, today=TODAY)
    )
    assert counts == {PLACEMENT: 5050, MISSING: 43}
