"""Make the query store's rows of what a file holds and print them.

Run by ``test_compiled.py`` in a process of its own, once with the compiled modules and once
without them.
"""

import json
import sys
from pathlib import Path

import broker.record_parts
from broker.audit.indexing import Indexer
from broker.keyed_hash import KeyedHash
from broker.record_parts import PartsReader, UnreadableDecision
from broker.storage.audit_packing import packed, phrases_of


def main() -> None:
    """Read the file, make rows, print."""
    values = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    reader, indexer = PartsReader(), Indexer(KeyedHash(bytes(32)))
    rows, unreadable = [], []
    for number, value in enumerate(values):
        try:
            rows.append(indexer.row(number, reader.read(bytes.fromhex(value))))
        except UnreadableDecision:
            unreadable.append(number)
    numbers = {body: number for number, body in enumerate(sorted(phrases_of(rows)))}
    columns = packed(rows, numbers, segment_bits=6)
    told = {
        "is_compiled": not str(broker.record_parts.__file__).endswith(".py"),
        "unreadable": unreadable,
        "phrases": repr(sorted(numbers.items())),
        "columns": [repr(some) for some in columns],
    }
    sys.stdout.write(json.dumps(told, sort_keys=True))


if __name__ == "__main__":
    main()
