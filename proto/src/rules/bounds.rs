//! How large a message can be that keeps its rules, and whether an encoded one has more in it than they allow. Looking
//! costs one pass over the bytes and no memory: a message that is refused here was never decoded.

use prost_reflect::{Cardinality, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::{
    Violation,
    dynamic::{RULES, Rule},
};

/// Repeated fields of a message whose entries are counted while it is looked through. Those beyond them are counted when
/// the message is validated.
const COUNTED_FIELDS: usize = 8;
/// How deep messages are looked into. prost decodes none that are deeper.
const MAX_DEPTH: usize = 100;
/// Bytes of a length, at most.
const LENGTH: usize = 5;
/// UTF-8 has so many bytes for a character, at most.
const CHARACTER: usize = 4;
/// The longest text that `CHARSET_IDENTIFIER` and `CHARSET_CURRENCY` allow.
const IDENTIFIER_BYTES: usize = 64;
const CURRENCY_BYTES: usize = 3;

/// What the rules of a message type allow.
#[derive(Clone, Debug)]
pub struct Bounds {
    largest: Option<usize>,
    /// The type itself first, then those inside it.
    shapes: Vec<Shape>,
}

/// The fields of a message type that can hold more than one value, by number.
#[derive(Clone, Debug, Default)]
struct Shape {
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Field {
    number: u32,
    name: String,
    holds: Holds,
    items: Option<Items>,
}

/// What a field's length-delimited value is made of.
#[derive(Clone, Copy, Debug)]
enum Holds {
    /// A message of the shape at this index.
    Message(usize),
    /// Numbers in a row, each of this size; without one they are varints.
    Packed(Option<usize>),
    /// Text or bytes.
    Opaque,
}

#[derive(Clone, Copy, Debug)]
struct Items {
    min: i64,
    max: i64,
    slot: usize,
}

/// An encoded message has too much in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// A repeated field has more entries than its rule allows.
    Entries(Violation),
    /// It has more fields and entries in all than were allowed.
    Fields,
}

impl Bounds {
    /// Of this type.
    #[must_use]
    pub fn of(message: &MessageDescriptor) -> Self {
        let rules = message.parent_pool().get_extension_by_name(RULES);
        let mut reading = Reading { rules: rules.as_ref(), seen: Vec::new(), shapes: Vec::new() };
        reading.shape(message);
        let largest = reading.largest(message, &mut Vec::new());
        Self { largest, shapes: reading.shapes }
    }

    /// How many bytes the largest message has that keeps the rules; `None` where they set no limit to some part of it.
    #[must_use]
    pub fn largest(&self) -> Option<usize> {
        self.largest
    }

    /// Counts what is in an encoded message: the entries of each repeated field, and all fields and entries together, which
    /// may be `max_fields`. What is no message passes: only decoding it tells what is wrong.
    ///
    /// # Errors
    /// The first excess.
    pub fn check(&self, bytes: &[u8], max_fields: usize) -> Result<(), Excess> {
        let mut count = Count { shapes: &self.shapes, left: max_fields };
        count.message(0, bytes, 0)
    }
}

/// Reads descriptors.
struct Reading<'a> {
    rules: Option<&'a ExtensionDescriptor>,
    seen: Vec<MessageDescriptor>,
    shapes: Vec<Shape>,
}

impl Reading<'_> {
    /// The index of the type's shape.
    fn shape(&mut self, message: &MessageDescriptor) -> usize {
        if let Some(known) = self.seen.iter().position(|seen| seen == message) {
            return known;
        }
        let index = self.seen.len();
        self.seen.push(message.clone());
        self.shapes.push(Shape::default());
        let mut slots = 0..COUNTED_FIELDS;
        let mut fields: Vec<Field> = Vec::new();
        for field in message.fields() {
            let holds = match field.kind() {
                Kind::Message(inner) => Holds::Message(self.shape(&inner)),
                Kind::String | Kind::Bytes => Holds::Opaque,
                number if field.is_list() => Holds::Packed(fixed(&number)),
                _ => continue,
            };
            let items = self.items(&field).and_then(|(min, max)| {
                let slot = slots.next()?;
                Some(Items { min, max, slot })
            });
            if items.is_some() || !matches!(holds, Holds::Opaque) {
                let (number, name) = (field.number(), field.name().to_owned());
                fields.push(Field { number, name, holds, items });
            }
        }
        fields.sort_by_key(|field| field.number);
        self.shapes[index] = Shape { fields };
        index
    }

    /// The least and the most entries that a repeated field may have.
    fn items(&self, field: &FieldDescriptor) -> Option<(i64, i64)> {
        self.rule(field, |rule| {
            Some((rule.number("min_items").unwrap_or(0), rule.number("max_items")?))
        })
    }

    fn rule<T>(
        &self,
        field: &FieldDescriptor,
        read: impl FnOnce(Rule<'_>) -> Option<T>,
    ) -> Option<T> {
        let (options, rules) = (field.options(), self.rules?);
        if !options.has_extension(rules) {
            return None;
        }
        options.get_extension(rules).as_message().map(Rule).and_then(read)
    }

    fn largest(
        &self,
        message: &MessageDescriptor,
        within: &mut Vec<MessageDescriptor>,
    ) -> Option<usize> {
        if within.contains(message) {
            return None;
        }
        within.push(message.clone());
        let sizes = message.fields().map(|field| self.largest_field(&field, within));
        let sum = sizes.sum();
        within.pop();
        sum
    }

    fn largest_field(
        &self,
        field: &FieldDescriptor,
        within: &mut Vec<MessageDescriptor>,
    ) -> Option<usize> {
        if field.is_map() {
            return None;
        }
        let most = match field.cardinality() {
            Cardinality::Repeated => usize::try_from(self.items(field)?.1).ok()?,
            Cardinality::Optional | Cardinality::Required => 1,
        };
        let value = match field.kind() {
            Kind::Message(inner) => LENGTH + self.largest(&inner, within)?,
            Kind::String if !field.is_list() => LENGTH + self.rule(field, longest_text)?,
            Kind::String | Kind::Bytes => return None,
            number => fixed(&number).unwrap_or(10),
        };
        most.checked_mul(LENGTH + value)
    }
}

fn longest_text(rule: Rule<'_>) -> Option<usize> {
    match rule.number("charset") {
        Some(1) => return Some(IDENTIFIER_BYTES),
        Some(2) => return Some(CURRENCY_BYTES),
        _ => {}
    }
    usize::try_from(rule.number("max_len")?).ok()?.checked_mul(CHARACTER)
}

/// The size of numbers of one size.
fn fixed(kind: &Kind) -> Option<usize> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Some(8),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Some(4),
        _ => None,
    }
}

/// Looks through one message.
struct Count<'a> {
    shapes: &'a [Shape],
    left: usize,
}

impl Count<'_> {
    fn message(&mut self, shape: usize, mut bytes: &[u8], depth: usize) -> Result<(), Excess> {
        let Some(shape) = self.shapes.get(shape).filter(|_| depth <= MAX_DEPTH) else {
            return Ok(());
        };
        let (mut entries, mut groups) = ([0_i64; COUNTED_FIELDS], 0_usize);
        while !bytes.is_empty() {
            let Some(key) = varint(&mut bytes) else { break };
            self.take(1)?;
            let value = match key & 7 {
                0 => varint(&mut bytes).map(|_| None),
                1 => split(&mut bytes, 8).map(|_| None),
                2 => length_delimited(&mut bytes).map(Some),
                3 => {
                    groups += 1;
                    continue;
                }
                4 if groups > 0 => {
                    groups -= 1;
                    continue;
                }
                5 => split(&mut bytes, 4).map(|_| None),
                _ => None,
            };
            let Some(value) = value else { break };
            // What stands in a group is of another type.
            let Some(field) = shape.find(key >> 3).filter(|_| groups == 0) else { continue };
            self.field(field, value, &mut entries, depth)?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &Field,
        value: Option<&[u8]>,
        entries: &mut [i64; COUNTED_FIELDS],
        depth: usize,
    ) -> Result<(), Excess> {
        let more = match (field.holds, value) {
            (Holds::Packed(size), Some(packed)) => {
                let numbers = match size {
                    Some(size) => packed.len() / size,
                    // The last byte of each has its highest bit clear.
                    None => packed.iter().filter(|byte| **byte < 0x80).count(),
                };
                self.take(numbers)?;
                i64::try_from(numbers).unwrap_or(i64::MAX)
            }
            _ => 1,
        };
        if let Some(Items { min, max, slot }) = field.items {
            entries[slot] = entries[slot].saturating_add(more);
            if entries[slot] > max {
                let message = format!("must have {min} to {max} entries");
                return Err(Excess::Entries(Violation { path: field.name.clone(), message }));
            }
        }
        let (Holds::Message(shape), Some(inner)) = (field.holds, value) else { return Ok(()) };
        self.message(shape, inner, depth + 1).map_err(|excess| match excess {
            Excess::Entries(Violation { path, message }) => {
                let index =
                    field.items.map(|Items { slot, .. }| format!("[{}]", entries[slot] - 1));
                let index = index.unwrap_or_default();
                Excess::Entries(Violation {
                    path: format!("{}{index}.{path}", field.name),
                    message,
                })
            }
            Excess::Fields => excess,
        })
    }

    fn take(&mut self, count: usize) -> Result<(), Excess> {
        self.left = self.left.checked_sub(count).ok_or(Excess::Fields)?;
        Ok(())
    }
}

impl Shape {
    fn find(&self, number: u64) -> Option<&Field> {
        let found = self.fields.binary_search_by(|field| u64::from(field.number).cmp(&number));
        found.ok().map(|index| &self.fields[index])
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(number);
        }
    }
    None
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

fn length_delimited<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint(bytes)?;
    split(bytes, usize::try_from(length).ok()?)
}
