"""The contract on the wire: events, Avro schemas, identifiers, sealing and signing. No I/O."""
