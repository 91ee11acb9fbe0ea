"""The duties around the flows: assessment, review, retention, what people are told."""

from collections.abc import Iterator
from typing import Final

from agreements.law.rule import CODE_OF_PRACTICE, UKGDPR, Finding, Rules
from agreements.model import Agreement
from agreements.values import end_of

RULES: Final = Rules()


@RULES.agreement(
    "review-missing",
    "An agreement is reviewed while it runs",
    source=CODE_OF_PRACTICE,
    severity="warning",
)
def _review(agreement: Agreement) -> Iterator[Finding]:
    effective = agreement.effective
    if effective.review_by is None:
        yield Finding("effective", "expected a date to review by", "add review_by, within a year")
    elif not effective.starts_at < effective.review_by <= effective.ends_at:
        yield Finding(
            "effective.review_by", "expected a review while it runs", "move it before the end"
        )


@RULES.agreement(
    "review-interval",
    "The first review is not later than the interval that was agreed",
    source=CODE_OF_PRACTICE,
    severity="warning",
)
def _interval(agreement: Agreement) -> Iterator[Finding]:
    every, due = agreement.review.every, agreement.effective.review_by
    if every is None or due is None:
        return
    latest = end_of(every, agreement.effective.starts_at)
    if latest is not None and due > latest:
        yield Finding(
            "effective.review_by",
            f"the review is due later than {every} after the start",
            f"set review_by to {latest.date()} or earlier",
        )


@RULES.agreement(
    "dpia-incomplete",
    "An approved assessment has its reference and date; a missing one its reason",
    source=f"{UKGDPR}/article/35",
)
def _dpia(agreement: Agreement) -> Iterator[Finding]:
    dpia = agreement.dpia
    if dpia.status == "approved" and (dpia.ref is None or dpia.approved_on is None):
        yield Finding("dpia", "expected the approved assessment", "add ref and approved_on")
    if dpia.status == "not-required" and dpia.reason is None:
        yield Finding("dpia", "expected why no assessment is required", "add reason")


@RULES.agreement(
    "dpia-open",
    "The assessment is finished before sharing begins",
    source=f"{UKGDPR}/article/35",
    severity="warning",
)
def _dpia_open(agreement: Agreement) -> Iterator[Finding]:
    if agreement.dpia.status in ("screened", "in-progress"):
        yield Finding("dpia.status", "the assessment is not finished", "have it approved")


@RULES.agreement(
    "dpia-after-start",
    "The assessment is approved before sharing begins",
    source=f"{UKGDPR}/article/35",
)
def _dpia_late(agreement: Agreement) -> Iterator[Finding]:
    approved, starts_at = agreement.dpia.approved_on, agreement.effective.starts_at
    if approved is not None and approved > starts_at.date():
        yield Finding(
            "dpia.approved_on",
            "the assessment is approved after the agreement starts",
            f"start later than {starts_at.date()}, or have it approved before",
        )


@RULES.agreement(
    "dpia-review",
    "The assessment is still good when sharing begins",
    source=f"{UKGDPR}/article/35",
    severity="warning",
)
def _dpia_stale(agreement: Agreement) -> Iterator[Finding]:
    due = agreement.dpia.review_by
    if due is not None and due <= agreement.effective.starts_at.date():
        yield Finding(
            "dpia.review_by",
            "the assessment is due for review before the agreement starts",
            "review it first",
        )


@RULES.agreement(
    "retention-missing",
    "Who receives says how long it keeps",
    source=f"{UKGDPR}/article/5",
    severity="warning",
)
def _retention(agreement: Agreement) -> Iterator[Finding]:
    keeping = {entry.party for entry in agreement.retention}
    receiving = dict.fromkeys(party for flow in agreement.flows for party in flow.to)
    for party in receiving:
        if party not in keeping:
            yield Finding(
                "retention", f"expected how long `{party}` keeps what it receives", "add it"
            )


@RULES.agreement(
    "privacy-notice-missing",
    "People are told, or the agreement says why not",
    source=f"{UKGDPR}/article/14",
    severity="warning",
)
def _notice(agreement: Agreement) -> Iterator[Finding]:
    told = agreement.transparency
    if told.privacy_notice is None and told.explanation is None:
        yield Finding("transparency", "expected the privacy notice", "add privacy_notice")


@RULES.agreement(
    "not-informed",
    "Where people are not told, the agreement says why",
    source=f"{UKGDPR}/article/14",
)
def _not_informed(agreement: Agreement) -> Iterator[Finding]:
    told = agreement.transparency
    if told.inform_subject != "yes" and told.explanation is None:
        yield Finding(
            "transparency.inform_subject",
            "expected why people are not told of the sharing",
            "add explanation",
        )


@RULES.agreement(
    "transfer-abroad",
    "Processing outside the United Kingdom says under which safeguard",
    source=f"{UKGDPR}/article/44",
    severity="warning",
)
def _abroad(agreement: Agreement) -> Iterator[Finding]:
    security = agreement.security
    if not security.uk_only and security.handling is None:
        yield Finding(
            "security.uk_only", "expected the safeguard of the transfer", "tell it in handling"
        )
