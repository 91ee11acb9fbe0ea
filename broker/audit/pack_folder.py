"""An evidence pack as a folder: the paper in every form, the agreements, the sample, proofs.

    pack.html, pack.pdf, pack.json     the paper
    traffic.csv                        what went each way
    sample.csv                         what to follow up, with room for what is found
    agreements/                        the texts in words, as they were signed
    proofs/                            a C2SP tlog-proof of each decision in the sample
    checkpoint, log.vkey               what the proofs are held against
    SHA256SUMS                         of all of these

A proof has the whole decision record, which is about all recipients of the event: the pack
is for the auditor, not for the partner. It is written whole or not at all.
"""

import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final

from agreements.paper import to_html, write
from broker.audit.desk import Desk
from broker.audit.evidence_pack import Gathering, Pack
from broker.audit.forms import Form, rendered
from broker.audit.proving import Prover
from broker.audit.sheets import Sheet
from broker.audit.traffic import counted
from broker.periods import Period
from schemas.errors import ConfigurationError

_FORMS: Final[tuple[Form, ...]] = ("html", "pdf", "json")


class FolderInTheWay(ConfigurationError):
    """Where the pack should be written is something else."""

    code: ClassVar[str] = "folder-in-the-way"


async def draw_up(desk: Desk, partner: str, period: Period, to: Path, *, sample: int) -> Pack:
    """Write the pack about a partner into a new folder, after it is on record that it was asked.

    Raises:
        FolderInTheWay: there is something.

    """
    if to.exists():  # noqa: ASYNC240  one look, in a command of one user
        raise FolderInTheWay(f"{to} is there already: name a folder that is not")
    gathering = Gathering(partner, seed=bytes.fromhex(desk.asked.root), size=sample)
    traffic = counted(gathering.passing(desk.between(period)))
    pack = Pack(
        desk.asked,
        period,
        partner,
        tuple(one for one in desk.states([partner])),
        traffic,
        gathering.sample(),
        desk.terms,
    )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".pack-") as beside:
        whole = Path(beside) / "pack"
        whole.mkdir()
        _write(desk, pack, whole)
        await desk.record(f"audit pack of {partner}", pack.shared)
        shutil.move(whole, to)
    return pack


def _write(desk: Desk, pack: Pack, folder: Path) -> None:
    for form in _FORMS:
        (folder / f"pack.{form}").write_bytes(b"".join(rendered(pack, form)))
    _write_sheet(pack.to_sheet(), folder / "traffic.csv")
    _write_sheet(pack.to_sample_sheet(), folder / "sample.csv")
    (folder / "agreements").mkdir()
    for number, status in enumerate(pack.agreements, 1):
        name = f"{number:03}-version-{status.text.version}-{status.sha256[:12]}.html"
        text = to_html(write(status.text, desk.terms.catalogue))
        (folder / "agreements" / name).write_text(text, encoding="utf-8")
    _write_proofs(desk, pack, folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    sums = (
        f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}" for file in files
    )
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def _write_sheet(sheet: Sheet, file: Path) -> None:
    with file.open("wb") as opened:
        opened.writelines(sheet.to_csv())


def _write_proofs(desk: Desk, pack: Pack, folder: Path) -> None:
    signed = desk.scheme.signed_log
    latest = None if signed is None else signed.files.latest(signed.key)
    if signed is None or latest is None:
        return
    (folder / "checkpoint").write_text(latest[1].to_text(), encoding="utf-8")
    (folder / "log.vkey").write_text(f"{signed.key.to_vkey()}\n", encoding="utf-8")
    (folder / "proofs").mkdir()
    prover = Prover(signed.files, latest)
    for index in sorted({one.index for one in pack.sample}):
        proof = prover.proof(index)
        if proof is not None:
            file = folder / "proofs" / f"{index}.tlog-proof"
            file.write_text(proof, encoding="utf-8")
