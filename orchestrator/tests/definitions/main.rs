//! How definitions come to be registered on a node that runs: from its folder, by callers, and by other nodes; and that one
//! which is not harms nobody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod callers;
mod folder;
mod participants;
mod serving;
mod test_node;
