"""The contract on the wire: events, Avro schemas, identifiers, sealing and signing. No I/O."""

from schemas.compiled import use_compiled

use_compiled()
