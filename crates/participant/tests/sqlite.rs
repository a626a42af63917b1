//! SQLite against the conformance suite of the inbox.

mod bench;

participant::conformance!(bench::Sqlite);
