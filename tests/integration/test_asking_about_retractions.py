"""What an operator, an auditor and an officer see of an event that was taken back."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from commands import answer_here, concordat_here
from town import COUNCIL, SCHOOL, Town, a_placement, found_town, the_agreement

from agreements.signatures import SignatureType
from broker.edge import publisher_of
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.status import status_of

CASE = ("--reason", "SAR-2026-014", "--by", "dpo")


@dataclasses.dataclass(frozen=True)
class Story:
    """A town's folder, the event that was taken back, and the one that did it."""

    folder: Path
    original: str
    retraction: str
    waited: int
    """Retractions that were still to be told of before the query store was asked."""

    def asked(self, *arguments: object) -> Any:
        """Ask on record, with ``--json``."""
        return answer_here(*arguments, *CASE, folder=self.folder)


async def _taken_back(town: Town) -> tuple[str, str]:
    event, publisher = a_placement(1), await publisher_of(town.scheme, town.streams, COUNCIL)
    (original,) = (await publisher.publish([event])).ids
    await town.route()
    await town.sign(the_agreement(), SCHOOL, SignatureType.REVOKE)
    taking_back = dataclasses.replace(event, retracts=event)
    (retraction,) = (await publisher.publish([taking_back])).ids
    await town.route()
    return original, retraction


@pytest.fixture(scope="module", name="story")
def a_story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A school had a placement under an agreement that has ended since, and was told."""
    folder = tmp_path_factory.mktemp("story") / "town"

    async def work() -> tuple[tuple[str, str], int]:
        async with found_town(folder) as town:
            await town.agree(the_agreement())
            ids = await _taken_back(town)
            waited = (await status_of(town.scheme, town.streams))["retractions"]
        scheme = SchemeFolder(read_settings(folder, {}))
        async with scheme.streams() as streams:
            with scheme.telling(streams) as telling:
                await scheme.service(streams, telling=telling).run(until_idle=True)
            await Town(scheme, streams).receive()
        return ids, waited

    ids, waited = asyncio.run(work())
    answer_here("evidence", "update", folder=folder)
    return Story(folder, *ids, waited)


def test_the_status_tells_how_many_retractions_have_still_to_be_told_of(story: Story) -> None:
    """They wait for the query store, which other processes than the router's may have."""
    assert story.waited == 1
    assert answer_here("status", folder=story.folder)["retractions"] == 0
    said = concordat_here("status", folder=story.folder).stdout
    assert "0 retractions have still to be told to who had the event\n" in said


def test_who_asks_about_an_event_sees_who_had_it_and_who_was_told(story: Story) -> None:
    """By its own id; by the id of the event that took it back, what became of both."""
    told = story.asked("audit", "event", story.original)
    assert [one["event_id"] for one in told["disclosures"]] == [story.original]
    (notice,) = told["notices"]
    assert (notice["event_id"], notice["detail"]) == (story.retraction, story.original)
    assert (notice["recipient"], notice["items"]) == (SCHOOL, [])
    assert "index" in notice["proof"]
    told = story.asked("audit", "event", story.retraction)
    assert [(one["outcome"], one["reason"]) for one in told["refused"]] == [("deny", "revoked")]
    assert (told["disclosures"], len(told["notices"])) == ([], 1)
    said = concordat_here("audit", "event", story.original, *CASE, folder=story.folder).stdout
    assert f"{SCHOOL} was told that event {story.original} was taken back\n" in said
    assert "1 disclosures, 0 refusals and 1 notices in" in said


def test_the_schedule_of_a_person_tells_that_what_a_body_had_was_withdrawn(story: Story) -> None:
    """In words, and apart from what was shared."""
    request = ("audit", "sar", "--identifier", "upn:G330200112001", "--received", "2026-11-20")
    done = concordat_here(*request, *CASE, "--format", "json", folder=story.folder)
    made = json.loads(done.stdout)
    assert [one["event_id"] for one in made["disclosures"]] == [story.original]
    (notice,) = made["notices"]
    assert (notice["outcome"], notice["retracts"]) == ("notice", story.original)
    page = concordat_here(*request, *CASE, folder=story.folder).stdout
    assert f"It was told that what it had of event {story.original} under" in page


def test_the_parties_counts_agree_with_a_log_that_has_notices(story: Story) -> None:
    """The council has signed two events; the school has opened a delivery and a notice."""
    assert answer_here("counts", "sign", folder=story.folder)
    found = story.asked("audit", "reconcile")
    assert found["agrees"]
    counted = {(one["party"], one["counts"]): one["counted"] for one in found["counts"]}
    assert counted == {(COUNCIL, "published"): 2, (SCHOOL, "opened"): 2}


def test_the_receipt_of_a_notice_says_what_was_taken_back(story: Story, tmp_path: Path) -> None:
    """The recipient has it in the line that it received, and the log vouches for it."""
    scheme = SchemeFolder(read_settings(story.folder, {}))
    key = scheme.log_keys.public(scheme.log_origin).to_vkey()
    for event_id, retracts in ((story.original, None), (story.retraction, story.original)):
        file = tmp_path / event_id
        story.asked("receipt", event_id, "--recipient", SCHOOL, "--out", file)
        checked = answer_here("receipt", "--check", file, "--key", key)
        (delivery,) = checked["deliveries"]
        assert delivery.get("retracts") == retracts
