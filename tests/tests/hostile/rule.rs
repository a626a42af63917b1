//! The rules of a request's fields, read from the descriptors once more: apart from the reading that is under test.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// The rules of one field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) required: bool,
    pub(crate) min_len: Option<usize>,
    pub(crate) max_len: Option<usize>,
    pub(crate) identifier: bool,
    pub(crate) currency: bool,
    pub(crate) line: bool,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) unique_by: Option<String>,
    pub(crate) positive: bool,
}

impl Rule {
    /// The rules of `field`; none of them set where it has none.
    pub(crate) fn of(field: &FieldDescriptor) -> Self {
        let rules = proto::descriptors().get_extension_by_name("sagamesh.facade.v1.rules").unwrap();
        let options = field.options();
        if !options.has_extension(&rules) {
            return Self::default();
        }
        let value = options.get_extension(&rules);
        Self::read(value.as_message().unwrap())
    }

    fn read(rule: &DynamicMessage) -> Self {
        let mut read = Self::default();
        for (field, value) in rule.fields() {
            let number = || value.as_i64().or_else(|| value.as_u32().map(i64::from)).unwrap();
            let count = || Some(usize::try_from(number()).unwrap());
            match field.name() {
                "required" => read.required = value.as_bool().unwrap(),
                "positive" => read.positive = value.as_bool().unwrap(),
                "min_len" => read.min_len = count(),
                "max_len" => read.max_len = count(),
                "min" => read.min = Some(number()),
                "max" => read.max = Some(number()),
                "min_items" => read.min_items = count(),
                "max_items" => read.max_items = count(),
                "unique_by" => read.unique_by = value.as_str().map(str::to_owned),
                "charset" => match value.as_enum_number() {
                    Some(1) => read.identifier = true,
                    Some(2) => read.currency = true,
                    Some(3) => read.line = true,
                    other => panic!("charset {other:?} is new: break it here too"),
                },
                other => panic!("the rule {other} is new: break it here too"),
            }
        }
        read
    }
}

/// The messages of ours in a field.
pub(crate) fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if inner.full_name().starts_with("sagamesh.") => Some(inner),
        _ => None,
    }
}

/// Every rule that a request of `input` can break: `package.Message.field rule`.
pub(crate) fn reachable(input: &MessageDescriptor, found: &mut BTreeSet<String>) {
    for field in input.fields() {
        let rule = Rule::of(&field);
        let set = [
            ("required", rule.required),
            ("positive", rule.positive),
            ("min_len", rule.min_len.is_some_and(|min| min > 0)),
            ("max_len", rule.max_len.is_some()),
            ("charset", rule.identifier || rule.currency || rule.line),
            ("min", rule.min.is_some()),
            ("max", rule.max.is_some()),
            ("min_items", rule.min_items.is_some_and(|min| min > 0)),
            ("max_items", rule.max_items.is_some()),
            ("unique_by", rule.unique_by.is_some()),
        ];
        let named = set.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
        found.extend(named.map(|name| format!("{} {name}", field.full_name())));
        if let Some(inner) = inner(&field) {
            reachable(&inner, found);
        }
    }
}

/// The number in a field's own width.
pub(crate) fn number(field: &FieldDescriptor, number: i64) -> Option<Value> {
    match field.kind() {
        Kind::Int64 => Some(Value::I64(number)),
        Kind::Int32 => i32::try_from(number).ok().map(Value::I32),
        other => panic!("{} is of kind {other:?}, which has no rules yet", field.full_name()),
    }
}
