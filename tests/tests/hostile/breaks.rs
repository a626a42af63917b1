//! Ways to break each rule of a request, with what must be told of each.

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value};

use crate::{
    rule::{self, Rule},
    sound,
};

/// One way to break one rule.
#[derive(Clone, Debug)]
pub(crate) struct Break {
    /// The rule, as [`rule::reachable`] names it.
    pub(crate) rule: String,
    /// The field that is changed, by its proto path.
    pub(crate) field: String,
    /// The paths that must be told, in order.
    pub(crate) told: Vec<String>,
    /// The way to the message that holds the field: field names, each with the entry where it is a list.
    way: Vec<(String, bool)>,
    name: String,
    /// None: the field is cleared.
    value: Option<Value>,
}

impl Break {
    /// Breaks the rule in `message`.
    pub(crate) fn apply(&self, message: &mut DynamicMessage) {
        let mut at = message;
        for (name, list) in &self.way {
            let value = at.get_field_by_name_mut(name).unwrap();
            at = match list {
                true => value.as_list_mut().unwrap()[0].as_message_mut().unwrap(),
                false => value.as_message_mut().unwrap(),
            };
        }
        match &self.value {
            Some(value) => at.set_field_by_name(&self.name, value.clone()),
            None => at.clear_field_by_name(&self.name),
        }
    }

    /// Whether both can be done to one message, each for itself.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        !within(&self.field, &other.field) && !within(&other.field, &self.field)
    }
}

/// Every way to break a request of this type.
pub(crate) fn every(input: &MessageDescriptor) -> Vec<Break> {
    let mut found = Vec::new();
    let mut place =
        Place { way: Vec::new(), path: String::new(), positive: false, found: &mut found };
    place.message(input);
    found
}

struct Place<'f> {
    way: Vec<(String, bool)>,
    path: String,
    /// Whether this is money that must be more than nothing.
    positive: bool,
    found: &'f mut Vec<Break>,
}

impl Place<'_> {
    fn message(&mut self, descriptor: &MessageDescriptor) {
        for field in descriptor.fields() {
            let rule = Rule::of(&field);
            let path = match self.path.as_str() {
                "" => field.name().to_owned(),
                path => format!("{path}.{}", field.name()),
            };
            self.texts(&field, &rule, &path);
            self.numbers(&field, &rule, &path);
            self.lists(&field, &rule, &path);
            if rule.required {
                self.add(&field, "required", &path, vec![path.clone()], None);
            }
            let Some(inner) = rule::inner(&field) else { continue };
            if rule.positive {
                let mut nothing = sound::message(&inner);
                nothing.set_field_by_name("minor_units", Value::I64(0));
                let told = vec![format!("{path}.minor_units")];
                self.add(&field, "positive", &path, told, Some(Value::Message(nothing)));
            }
            self.inside(&field, &inner, path, rule.positive);
        }
    }

    fn inside(
        &mut self,
        field: &FieldDescriptor,
        inner: &MessageDescriptor,
        path: String,
        positive: bool,
    ) {
        let list = field.is_list();
        let path = if list { format!("{path}[0]") } else { path };
        let outer = std::mem::replace(&mut self.path, path);
        let was_positive = std::mem::replace(&mut self.positive, positive);
        self.way.push((field.name().to_owned(), list));
        self.message(inner);
        self.way.pop();
        self.positive = was_positive;
        self.path = outer;
    }

    fn texts(&mut self, field: &FieldDescriptor, rule: &Rule, path: &str) {
        let mut add = |name, text: String| {
            self.add(field, name, path, vec![path.to_owned()], Some(Value::String(text)));
        };
        if rule.min_len.is_some_and(|min| min > 0) {
            add("min_len", String::new());
        }
        if let Some(max) = rule.max_len {
            for one in ["x", "ä", "🫖"] {
                add("max_len", one.repeat(max + 1));
            }
            if !rule.line {
                add("max_len", "\0".repeat(max + 1));
            }
            // Much longer, and no reason yet to refuse the message by its size.
            add("max_len", "x".repeat(max + 1_024));
        }
        if rule.identifier {
            let long = "x".repeat(65);
            for text in ["", &long, "a b", "ä", "a/b", "a\0b", "\n", "'; drop table saga; --"] {
                add("charset", text.to_owned());
            }
        }
        if rule.line {
            for text in ["a\nb", "\u{1b}]0;title\u{7}", "\0", "\u{9b}2J", "a\u{202e}b", "\u{2028}"]
            {
                add("charset", text.to_owned());
            }
        }
        if rule.currency {
            for text in ["", "EU", "EURO", "eur", "E R", "ÄÖÜ"] {
                add("charset", text.to_owned());
            }
        }
    }

    fn numbers(&mut self, field: &FieldDescriptor, rule: &Rule, path: &str) {
        let below = rule.min.iter().flat_map(|min| [min - 1, i64::from(i32::MIN), i64::MIN]);
        let above = rule.max.iter().flat_map(|max| [max + 1, i64::MAX]);
        let broken = below.map(|number| ("min", number)).chain(above.map(|number| ("max", number)));
        for (name, number) in broken {
            let Some(value) = rule::number(field, number) else { continue };
            let mut told = vec![path.to_owned()];
            if self.positive && field.name() == "minor_units" && number < 1 {
                told.push(path.to_owned());
            }
            self.add(field, name, path, told, Some(value));
        }
    }

    fn lists(&mut self, field: &FieldDescriptor, rule: &Rule, path: &str) {
        let by = rule.unique_by.as_deref();
        let entries = |count: usize| {
            Some(Value::List((0..count).map(|number| sound::entry(field, by, number)).collect()))
        };
        let told = || vec![path.to_owned()];
        if rule.min_items.is_some_and(|min| min > 0) {
            self.add(field, "min_items", path, told(), entries(0));
        }
        if let Some(max) = rule.max_items {
            self.add(field, "max_items", path, told(), entries(max + 1));
            self.add(field, "max_items", path, told(), entries(2 * max));
        }
        if by.is_some() {
            let same = vec![
                sound::entry(field, by, 7),
                sound::entry(field, by, 8),
                sound::entry(field, by, 7),
            ];
            self.add(field, "unique_by", path, told(), Some(Value::List(same)));
        }
    }

    fn add(
        &mut self,
        field: &FieldDescriptor,
        rule: &str,
        path: &str,
        told: Vec<String>,
        value: Option<Value>,
    ) {
        self.found.push(Break {
            rule: format!("{} {rule}", field.full_name()),
            field: path.to_owned(),
            told,
            way: self.way.clone(),
            name: field.name().to_owned(),
            value,
        });
    }
}
