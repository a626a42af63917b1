//! Files of an edition, written as the proto2 or proto3 files that mean the same.
//!
//! The pool knows proto2 and proto3 alone. All that an edition's features change on the wire or in what a program sees can be
//! said in one of the two, field by field; what cannot is named at its place below.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

/// Editions that are understood, by the year that a .proto file names and their number in `google.protobuf.Edition`.
pub(super) const EDITIONS: [(&str, i32); 2] = [("2023", 1000), ("2024", 1001)];

/// Features that change more than the code that is generated.
pub(super) const FEATURES: [&str; 6] = [
    "field_presence",
    "enum_type",
    "repeated_field_encoding",
    "utf8_validation",
    "message_encoding",
    "json_format",
];

// Numbers of `google.protobuf.FeatureSet` and `google.protobuf.FieldDescriptorProto`.
const IMPLICIT: i32 = 2;
const LEGACY_REQUIRED: i32 = 3;
const EXPANDED: i32 = 2;
const DELIMITED: i32 = 2;
const LABEL_REQUIRED: i32 = 2;
const LABEL_REPEATED: i32 = 3;
const TYPE_STRING: i32 = 9;
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_BYTES: i32 = 12;

/// The features at one place of a file: its own, or what is around it. Every edition so far begins with these.
#[derive(Clone, Copy, Default)]
struct Features {
    implicit: bool,
    required: bool,
    expanded: bool,
    delimited: bool,
}

impl Features {
    /// The features of something with these options inside of what has `self`.
    fn of(self, declared: &DynamicMessage) -> Self {
        let options = declared.get_field_by_name("options");
        let options = options.as_deref().and_then(Value::as_message);
        let features = options.and_then(|options| options.get_field_by_name("features"));
        let Some(features) = features.as_deref().and_then(Value::as_message) else { return self };
        let given = |name: &str| {
            let number = features.get_field_by_name(name)?.as_enum_number()?;
            features.has_field_by_name(name).then_some(number)
        };
        let presence = given("field_presence");
        Self {
            implicit: presence.map_or(self.implicit, |presence| presence == IMPLICIT),
            required: presence.map_or(self.required, |presence| presence == LEGACY_REQUIRED),
            expanded: given("repeated_field_encoding").map_or(self.expanded, |is| is == EXPANDED),
            delimited: given("message_encoding").map_or(self.delimited, |is| is == DELIMITED),
        }
    }
}

/// A file of an edition.
pub(super) struct EditionFile(DynamicMessage);

impl EditionFile {
    /// Reads an encoded `FileDescriptorProto`; `None` where it is of no edition.
    pub(super) fn decode(file: &[u8]) -> Option<Self> {
        let descriptor =
            DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorProto")?;
        let file = DynamicMessage::decode(descriptor, file).ok()?;
        (text(&file, "syntax") == "editions").then_some(Self(file))
    }

    /// A file that was compiled as if it were of proto2.
    pub(super) fn compiled(file: &[u8], edition: i32) -> Option<Self> {
        let descriptor =
            DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorProto")?;
        let mut file = DynamicMessage::decode(descriptor, file).ok()?;
        file.set_field_by_name("edition", Value::EnumNumber(edition));
        Some(Self(file))
    }

    /// The number of an edition that is not understood.
    pub(super) fn unknown_edition(&self) -> Option<i32> {
        let edition = number(&self.0, "edition");
        (!EDITIONS.iter().any(|(_, known)| *known == edition)).then_some(edition)
    }

    /// The encoded file in proto2; in proto3 where it has fields without presence, which proto2 has not.
    pub(super) fn lowered(self) -> Vec<u8> {
        let Self(mut file) = self;
        let features = Features::default().of(&file);
        let mut lowering = Lowering { proto3: is_proto3(&file, features) };
        each(&mut file, "message_type", |message| lowering.message(message, features));
        each(&mut file, "extension", |field| lowering.field(field, features, &Place::Extension));
        each(&mut file, "enum_type", forget_features);
        forget_features(&mut file);
        file.clear_field_by_name("edition");
        match lowering.proto3 {
            true => file.set_field_by_name("syntax", Value::String("proto3".to_owned())),
            false => file.clear_field_by_name("syntax"),
        }
        file.encode_to_vec()
    }
}

/// Where a field is declared.
enum Place {
    /// In a message whose maps have entries of these names.
    Message(BTreeSet<String>),
    /// The key or value of a map: its encoding is the same in every edition.
    MapEntry,
    Extension,
}

struct Lowering {
    proto3: bool,
}

impl Lowering {
    fn message(&mut self, message: &mut DynamicMessage, around: Features) {
        let features = around.of(message);
        let place = place_in(message);
        each(message, "field", |field| self.field(field, features, &place));
        each(message, "extension", |field| self.field(field, features, &Place::Extension));
        each(message, "nested_type", |nested| self.message(nested, features));
        each(message, "enum_type", forget_features);
        each(message, "oneof_decl", forget_features);
        each(message, "extension_range", forget_features);
        forget_features(message);
        if self.proto3 {
            declare_optional(message);
        }
    }

    fn field(&mut self, field: &mut DynamicMessage, around: Features, place: &Place) {
        let features = around.of(field);
        let (label, kind) = (number(field, "label"), number(field, "type"));
        let is_map = match place {
            Place::Message(entries) => entries.contains(&last_name(field)),
            Place::MapEntry => return,
            Place::Extension => false,
        };
        if kind == TYPE_MESSAGE && features.delimited && !is_map {
            field.set_field_by_name("type", Value::EnumNumber(TYPE_GROUP));
        }
        let is_packable = !matches!(kind, TYPE_STRING | TYPE_GROUP | TYPE_MESSAGE | TYPE_BYTES);
        if label == LABEL_REPEATED && is_packable {
            set_packed(field, !features.expanded);
        }
        if is_singular(field) && matches!(place, Place::Message(_)) {
            if features.required {
                field.set_field_by_name("label", Value::EnumNumber(LABEL_REQUIRED));
            }
            // A message has presence without being told so.
            let has_presence = !features.implicit && !matches!(kind, TYPE_GROUP | TYPE_MESSAGE);
            if self.proto3 && has_presence {
                field.set_field_by_name("proto3_optional", Value::Bool(true));
            }
        }
        forget_features(field);
    }
}

/// Whether the file has fields without presence. Enums that do not begin with 0 are in proto2 alone, though: in a file that
/// has both, a field without presence is one that is not set where it is not sent.
fn is_proto3(file: &DynamicMessage, features: Features) -> bool {
    let messages = list(file, "message_type");
    messages.iter().any(|message| has_implicit(message, features))
        && !begins_above_zero(file, "message_type")
}

fn has_implicit(message: &DynamicMessage, around: Features) -> bool {
    let features = around.of(message);
    let implicit = |field: &DynamicMessage| {
        let kind = number(field, "type");
        is_singular(field)
            && features.of(field).implicit
            && !matches!(kind, TYPE_GROUP | TYPE_MESSAGE)
    };
    (!is_map_entry(message) && list(message, "field").iter().any(implicit))
        || list(message, "nested_type").iter().any(|nested| has_implicit(nested, features))
}

fn begins_above_zero(declared: &DynamicMessage, messages: &str) -> bool {
    let first = |of: &DynamicMessage| {
        list(of, "value").first().is_some_and(|first| number(first, "number") != 0)
    };
    list(declared, "enum_type").iter().any(first)
        || list(declared, messages).iter().any(|nested| begins_above_zero(nested, "nested_type"))
}

fn place_in(message: &DynamicMessage) -> Place {
    if is_map_entry(message) {
        return Place::MapEntry;
    }
    let nested = list(message, "nested_type");
    let entries = nested.iter().filter(|nested| is_map_entry(nested));
    Place::Message(entries.map(|entry| text(entry, "name")).collect())
}

fn is_map_entry(message: &DynamicMessage) -> bool {
    let options = message.get_field_by_name("options");
    let options = options.as_deref().and_then(Value::as_message);
    let is_entry = options.and_then(|options| options.get_field_by_name("map_entry"));
    is_entry.and_then(|is_entry| is_entry.as_bool()).unwrap_or_default()
}

fn is_singular(field: &DynamicMessage) -> bool {
    number(field, "label") != LABEL_REPEATED && !field.has_field_by_name("oneof_index")
}

/// Gives each optional field the oneof that proto3 wants of it, behind all others.
fn declare_optional(message: &mut DynamicMessage) {
    let mut oneofs = list(message, "oneof_decl");
    let oneof = oneof_descriptor();
    each(message, "field", |field| {
        let is_optional = field.get_field_by_name("proto3_optional");
        let is_optional = is_optional.and_then(|is| is.as_bool()).unwrap_or_default();
        let index = i32::try_from(oneofs.len());
        // proto3 has no required field; the pool takes one all the same, but not in a oneof.
        let is_required = number(field, "label") == LABEL_REQUIRED;
        if let (true, false, Ok(index), Some(oneof)) = (is_optional, is_required, index, &oneof) {
            let mut declared = DynamicMessage::new(oneof.clone());
            declared.set_field_by_name("name", Value::String(format!("_{}", text(field, "name"))));
            oneofs.push(declared);
            field.set_field_by_name("oneof_index", Value::I32(index));
        }
    });
    let oneofs = oneofs.into_iter().map(Value::Message).collect();
    message.set_field_by_name("oneof_decl", Value::List(oneofs));
}

fn oneof_descriptor() -> Option<prost_reflect::MessageDescriptor> {
    DescriptorPool::global().get_message_by_name("google.protobuf.OneofDescriptorProto")
}

fn set_packed(field: &mut DynamicMessage, packed: bool) {
    if let Some(Value::Message(options)) = field.get_field_by_name_mut("options")
        && !options.has_field_by_name("packed")
    {
        options.set_field_by_name("packed", Value::Bool(packed));
    }
}

fn forget_features(declared: &mut DynamicMessage) {
    if declared.has_field_by_name("options")
        && let Some(Value::Message(options)) = declared.get_field_by_name_mut("options")
    {
        options.clear_field_by_name("features");
    }
}

fn each(of: &mut DynamicMessage, name: &str, mut change: impl FnMut(&mut DynamicMessage)) {
    if let Some(Value::List(items)) = of.get_field_by_name_mut(name) {
        items.iter_mut().filter_map(Value::as_message_mut).for_each(&mut change);
    }
}

fn list(of: &DynamicMessage, name: &str) -> Vec<DynamicMessage> {
    let items = of.get_field_by_name(name);
    let items = items.as_deref().and_then(Value::as_list).unwrap_or_default();
    items.iter().filter_map(Value::as_message).cloned().collect()
}

fn number(of: &DynamicMessage, name: &str) -> i32 {
    let found = of.get_field_by_name(name);
    found.and_then(|found| found.as_enum_number().or(found.as_i32())).unwrap_or_default()
}

fn text(of: &DynamicMessage, name: &str) -> String {
    let found = of.get_field_by_name(name);
    found.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The last part of the name of a field's type.
fn last_name(field: &DynamicMessage) -> String {
    let name = text(field, "type_name");
    name.rsplit('.').next().unwrap_or_default().to_owned()
}
