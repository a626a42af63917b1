//! Every kind of damage to a saga's journal, each of which must be seen: every bit, and every record that is cut,
//! missing, doubled, swapped or another saga's.

use bytes::Bytes;
use orchestrator::{
    driver::{Unreadable, replay},
    journal::{Entry, Header, StateRecord},
};

use crate::decoding::{PLACE_ORDER, entries, header};

fn refused(header: &Header, entries: &[Entry], what: &str) -> Unreadable {
    match replay(header, &PLACE_ORDER, entries, None) {
        Err(why) => why,
        Ok(_) => panic!("{what} was not seen"),
    }
}

#[test]
fn a_journal_that_was_cut_off_or_changed_before_what_the_index_names_is_seen() {
    let header = header("s-1");
    let sound = entries(&header);
    for named in &sound {
        let state_record = Some(StateRecord { seq: named.seq, link: named.link });
        assert!(replay(&header, &PLACE_ORDER, &sound, state_record).is_ok());
        for left in 1..sound.len() {
            let read = replay(&header, &PLACE_ORDER, &sound[..left], state_record);
            let is_cut = u64::try_from(left).unwrap() <= named.seq;
            assert_eq!(matches!(read, Err(Unreadable::CutOff { .. })), is_cut, "{left} {named:?}");
        }
        let mut link = named.link;
        link.0[3] ^= 1;
        let other = Some(StateRecord { seq: named.seq, link });
        let refused = replay(&header, &PLACE_ORDER, &sound, other);
        assert!(matches!(refused, Err(Unreadable::Broken { seq }) if seq == named.seq));
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn every_bit_of_every_record_and_link_is_guarded() {
    let header = header("s-1");
    let sound = entries(&header);
    let mut bits = 0;
    for at in 0..sound.len() {
        for bit in 0..sound[at].record.len() * 8 {
            let mut entries = sound.clone();
            entries[at].record = flipped(&sound[at].record, bit).into();
            let why = refused(&header, &entries, &format!("bit {bit} of record {at}"));
            assert!(matches!(why, Unreadable::Broken { seq } if seq == sound[at].seq), "{why}");
            bits += 1;
        }
        for bit in 0..sound[at].link.0.len() * 8 {
            let mut entries = sound.clone();
            entries[at].link.0 = flipped(&sound[at].link.0, bit).try_into().unwrap();
            refused(&header, &entries, &format!("bit {bit} of link {at}"));
            bits += 1;
        }
        for bit in 0..64 {
            let mut entries = sound.clone();
            entries[at].at.0 ^= 1 << bit;
            refused(&header, &entries, &format!("bit {bit} of the time of record {at}"));
            let mut entries = sound.clone();
            entries[at].seq ^= 1 << bit;
            refused(&header, &entries, &format!("bit {bit} of the place of record {at}"));
            bits += 2;
        }
    }
    println!("damage: {bits} bits flipped");
    assert!(bits > 5_000);
}

#[test]
fn a_record_that_is_cut_anywhere_is_seen() {
    let header = header("s-1");
    let sound = entries(&header);
    for at in 0..sound.len() {
        for length in 0..sound[at].record.len() {
            let mut entries = sound.clone();
            entries[at].record = sound[at].record.slice(..length);
            refused(&header, &entries, &format!("record {at} cut to {length} bytes"));
        }
        let mut longer = sound.clone();
        longer[at].record = [&sound[at].record[..], b"\0"].concat().into();
        refused(&header, &longer, &format!("a byte more in record {at}"));
    }
}

#[test]
fn records_that_are_missing_doubled_swapped_or_anothers_are_seen() {
    let (header, other) = (header("s-1"), header("s-2"));
    let (sound, foreign) = (entries(&header), entries(&other));
    assert!(matches!(refused(&header, &[], "an empty journal"), Unreadable::Empty));
    refused(&header, &foreign, "another saga's journal");
    for at in 0..sound.len() {
        let mut anothers = sound.clone();
        anothers[at] = foreign[at].clone();
        refused(&header, &anothers, &format!("another saga's record {at}"));
        if at + 1 == sound.len() {
            break;
        }
        // The last record is not removed: without it the journal looks like one that is still being written.
        let mut missing = sound.clone();
        missing.remove(at);
        let why = refused(&header, &missing, &format!("the missing record {at}"));
        assert!(matches!(why, Unreadable::Gap { .. }), "{why}");
        let mut doubled = sound.clone();
        doubled.insert(at, sound[at].clone());
        refused(&header, &doubled, &format!("record {at} twice"));
        for with in at + 1..sound.len() {
            let mut swapped = sound.clone();
            swapped.swap(at, with);
            refused(&header, &swapped, &format!("records {at} and {with} swapped"));
            let (one, two) = (sound[at].seq, sound[with].seq);
            (swapped[at].seq, swapped[with].seq) = (one, two);
            refused(&header, &swapped, &format!("records {at} and {with} in each other's place"));
        }
    }
}

#[test]
fn whatever_a_saga_was_started_with_is_guarded() {
    let header = header("s-1");
    let entries = entries(&header);
    let texts: [fn(&mut Header) -> &mut String; 5] = [
        |header| &mut header.saga_id,
        |header| &mut header.definition_hash,
        |header| &mut header.definition,
        |header| &mut header.key,
        |header| &mut header.trace,
    ];
    for text in texts {
        let mut changed = header.clone();
        text(&mut changed).push('x');
        refused(&changed, &entries, "another text");
    }
    for bit in 0..header.request.len() * 8 {
        let request = Bytes::from(flipped(&header.request, bit));
        refused(&Header { request, ..header.clone() }, &entries, "another request");
    }
    refused(&Header { version: 2, ..header.clone() }, &entries, "another version");
    for bit in 0..64 {
        let mut changed = header.clone();
        changed.deadline.0 ^= 1 << bit;
        refused(&changed, &entries, "another deadline");
        let mut changed = header.clone();
        changed.created_at.0 ^= 1 << bit;
        refused(&changed, &entries, "another start");
    }
    // A byte moves from one text into the next.
    let mut moved = header.clone();
    let last = moved.key.pop().unwrap();
    moved.trace.insert(0, last);
    refused(&moved, &entries, "a byte that moved");
}
