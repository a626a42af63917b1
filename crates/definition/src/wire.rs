//! How many values there are in an encoded message, without decoding it.
//!
//! A byte on the wire can become a hundred in memory: an empty message in a list is two bytes, a number in a packed list
//! is one.

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{Kind, MessageDescriptor};

use super::meter::Cost;

/// So few bytes are not worth looking at: each is taken for a value.
const FEW_BYTES: usize = 4 << 10;
/// As deep as `prost` decodes.
const MAX_DEPTH: usize = 100;

/// What it takes to decode `bytes`.
pub(super) fn cost(message: &MessageDescriptor, bytes: &[u8]) -> Cost {
    Cost::steps(count_values(message, bytes)).and(Cost::bytes(bytes.len()))
}

/// How many values an encoded message has at most, those inside of others too, found without decoding it. What is not
/// well-formed is counted as far as it goes: decoding tells the rest.
pub fn count_values(message: &MessageDescriptor, bytes: &[u8]) -> usize {
    if bytes.len() <= FEW_BYTES {
        return bytes.len();
    }
    let mut values = 0;
    let _ = count(Some(message), &mut &*bytes, MAX_DEPTH, &mut values);
    values
}

/// Counts to the end of the message, or of the group that it is; `None` where the bytes are no message.
fn count(
    message: Option<&MessageDescriptor>,
    bytes: &mut &[u8],
    depth: usize,
    values: &mut usize,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    while bytes.has_remaining() {
        *values += 1;
        let (number, wire) = decode_key(bytes).ok()?;
        let kind = message.and_then(|message| message.get_field(number)).map(|field| field.kind());
        match wire {
            WireType::Varint => {
                decode_varint(bytes).ok()?;
            }
            WireType::ThirtyTwoBit => {
                taken(bytes, 4)?;
            }
            WireType::SixtyFourBit => {
                taken(bytes, 8)?;
            }
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(bytes).ok()?).ok()?;
                let mut body = taken(bytes, length)?;
                match kind {
                    Some(Kind::Message(inner)) => count(Some(&inner), &mut body, depth, values)?,
                    Some(kind) => *values += packed(&kind, body),
                    None => {}
                }
            }
            WireType::StartGroup => match kind {
                Some(Kind::Message(inner)) => count(Some(&inner), bytes, depth, values)?,
                _ => count(None, bytes, depth, values)?,
            },
            WireType::EndGroup => return Some(()),
        }
    }
    Some(())
}

/// A field that a message has on the wire, and not in its descriptor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownField {
    /// The full name of the message.
    pub message: String,
    /// The field's number.
    pub number: u32,
}

/// How many unknown fields are looked for.
const MAX_UNKNOWN: usize = 64;

/// The fields of an encoded message, those inside of others too, that its descriptor does not know, each once; 64 at most.
/// Nothing is decoded.
pub fn unknown_fields(message: &MessageDescriptor, bytes: &[u8]) -> Vec<UnknownField> {
    let mut unknown = Vec::new();
    let _ = look(message, &mut &*bytes, MAX_DEPTH, &mut unknown);
    unknown
}

/// Looks to the end of the message, or of the group that it is; `None` where the bytes are no message.
fn look(
    message: &MessageDescriptor,
    bytes: &mut &[u8],
    depth: usize,
    unknown: &mut Vec<UnknownField>,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    while bytes.has_remaining() {
        let (number, wire) = decode_key(bytes).ok()?;
        if wire == WireType::EndGroup {
            return Some(());
        }
        let field = message.get_field(number);
        if field.is_none() && message.get_extension(number).is_none() {
            let found = UnknownField { message: message.full_name().to_owned(), number };
            if unknown.len() < MAX_UNKNOWN && !unknown.contains(&found) {
                unknown.push(found);
            }
        }
        let inner = field.and_then(|field| match field.kind() {
            Kind::Message(inner) => Some(inner),
            _ => None,
        });
        match (wire, inner) {
            (WireType::Varint, _) => {
                decode_varint(bytes).ok()?;
            }
            (WireType::ThirtyTwoBit, _) => {
                taken(bytes, 4)?;
            }
            (WireType::SixtyFourBit, _) => {
                taken(bytes, 8)?;
            }
            (WireType::LengthDelimited, inner) => {
                let length = usize::try_from(decode_varint(bytes).ok()?).ok()?;
                let mut body = taken(bytes, length)?;
                if let Some(inner) = inner {
                    look(&inner, &mut body, depth, unknown)?;
                }
            }
            (WireType::StartGroup, Some(inner)) => look(&inner, bytes, depth, unknown)?,
            (WireType::StartGroup, None) => count(None, bytes, depth, &mut 0)?,
            (WireType::EndGroup, _) => return Some(()),
        }
    }
    Some(())
}

fn taken<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// The items of a packed list.
fn packed(kind: &Kind, body: &[u8]) -> usize {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => 0,
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => body.len() / 4,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => body.len() / 8,
        _ => body.iter().filter(|byte| **byte < 0x80).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file() -> MessageDescriptor {
        let global = prost_reflect::DescriptorPool::global();
        global.get_message_by_name("google.protobuf.FileDescriptorProto").unwrap()
    }

    fn unknown(bytes: &[u8]) -> Vec<(String, u32)> {
        let found = unknown_fields(&of_file(), bytes).into_iter();
        found.map(|field| (field.message, field.number)).collect()
    }

    #[test]
    fn fields_that_a_descriptor_does_not_know_are_found_wherever_they_are() {
        let inside = "google.protobuf.DescriptorProto".to_owned();
        let top = "google.protobuf.FileDescriptorProto".to_owned();
        // A name; a message with a name and field 90 in it, twice; a group 91 with a field; field 92 of eight bytes.
        let message = b"\x22\x06\x0a\x01m\xd0\x05\x01";
        let mut bytes = b"\x0a\x01x".to_vec();
        bytes.extend(message.repeat(2));
        assert_eq!(unknown(&bytes), [(inside.clone(), 90)]);
        bytes.extend(b"\xdb\x05\x08\x01\xdc\x05\xe1\x0512345678");
        assert_eq!(unknown(&bytes), [(inside, 90), (top.clone(), 91), (top, 92)]);
        assert_eq!(unknown(b""), []);
    }

    #[test]
    fn bytes_that_are_no_message_have_what_was_found_before() {
        for bytes in [&b"\xff"[..], b"\x0a\x05x", b"\xd0\x05", b"\xdb\x05\x08"] {
            assert!(unknown(bytes).len() <= 1, "{bytes:?}");
        }
        let deep = [0x22, 0x00];
        assert!(unknown(&deep.repeat(1_000)).is_empty());
        let many: Vec<u8> = (0..200_u32)
            .flat_map(|number| {
                let mut field = Vec::new();
                prost::encoding::uint32::encode(1_000 + number, &1, &mut field);
                field
            })
            .collect();
        assert_eq!(unknown(&many).len(), MAX_UNKNOWN);
    }
}
