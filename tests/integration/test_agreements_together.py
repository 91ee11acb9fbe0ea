"""What a register does not take in: versions that supersede each other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from town import Town, found_town, the_agreement

from agreements.canonical import to_document
from agreements.problems import AgreementInvalid
from agreements.reading import from_document
from broker.administration import put_agreement
from broker.control import TOPIC as CONTROL


@pytest_asyncio.fixture(name="town")
async def a_town(tmp_path: Path) -> AsyncIterator[Town]:
    """Found a scheme on the embedded streams."""
    async with found_town(tmp_path / "town") as town:
        yield town


async def test_a_circle_of_versions_is_not_taken_in_and_nothing_is_changed(town: Town) -> None:
    """The second would take the place of the first, and the first of the second."""
    document = to_document(the_agreement())
    other = {**document, "id": f"{document['id']}-other"}
    first = document | {"supersedes": {"uri": other["id"], "version": 1}}
    second = other | {"supersedes": {"uri": document["id"], "version": 1}}
    await put_agreement(town.scheme, town.streams, from_document(first), name="first")
    before = [record.key async for record in town.streams.read(CONTROL)]
    with pytest.raises(AgreementInvalid) as caught:
        await put_agreement(town.scheme, town.streams, from_document(second), name="second")
    assert [problem.code for problem in caught.value.problems] == ["supersedes-circle"]
    assert [record.key async for record in town.streams.read(CONTROL)] == before
