//! The messages of points, from and to the domain.

use facade::wire::instant;
use proto::points::v1 as wire;

use crate::{
    points::{Member, Movement},
    store::Entry,
};

impl From<Member> for wire::Account {
    fn from(member: Member) -> Self {
        let Member { user_id, suspended, balance } = member;
        Self { user_id, balance, suspended }
    }
}

impl From<Entry> for wire::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            seq: entry.seq,
            user_id: entry.user_id,
            kind: kind(&entry.movement).into(),
            change: entry.change,
            balance_after: entry.balance_after,
            order_no: entry.movement.order_no().unwrap_or_default().to_owned(),
            at: Some(instant(entry.at)),
        }
    }
}

fn kind(movement: &Movement) -> wire::EntryKind {
    match movement {
        Movement::Earn => wire::EntryKind::Earn,
        Movement::Spend { .. } => wire::EntryKind::Spend,
        Movement::Refund { .. } => wire::EntryKind::Refund,
    }
}
