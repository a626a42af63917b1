//! Rules of messages that are known only at run time, read from their descriptors.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, ReflectMessage, Value};

use super::{
    CURRENCY, IDENTIFIER, LINE, MAX_VIOLATIONS, POSITIVE, Violation, double, first_double,
    is_currency, is_identifier, is_line,
};

pub(super) const RULES: &str = "sagamesh.facade.v1.rules";

/// Every rule that `message` breaks, by path. A message whose descriptors know no rules breaks none.
pub fn dynamic_violations(message: &DynamicMessage) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(rules) = message.descriptor().parent_pool().get_extension_by_name(RULES) {
        Check { rules: &rules, found: &mut found }.message(message, "");
    }
    found.sort();
    found
}

struct Check<'a> {
    rules: &'a ExtensionDescriptor,
    found: &'a mut Vec<Violation>,
}

impl Check<'_> {
    fn message(&mut self, message: &DynamicMessage, parent: &str) {
        if self.found.len() >= MAX_VIOLATIONS {
            return;
        }
        for field in message.descriptor().fields() {
            let path = match parent {
                "" => field.name().to_owned(),
                parent => format!("{parent}.{}", field.name()),
            };
            let value = message.get_field(&field);
            let present = !field.supports_presence() || message.has_field(&field);
            self.field(&field, &value, present, &path);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Value, present: bool, path: &str) {
        let options = field.options();
        let rule = options.get_extension(self.rules);
        let rule = rule.as_message().filter(|_| options.has_extension(self.rules)).map(Rule);
        if let Some(rule) = &rule
            && !present
            && rule.flag("required")
        {
            self.broken(path, "must be set");
        }
        if !present {
            return;
        }
        if let Some(rule) = &rule {
            self.value(rule, value, path);
        }
        match value {
            Value::Message(nested) => self.message(nested, path),
            Value::List(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    if let Value::Message(nested) = entry {
                        self.message(nested, &format!("{path}[{index}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn value(&mut self, rule: &Rule<'_>, value: &Value, path: &str) {
        match value {
            Value::String(text) => self.text(rule, text, path),
            Value::List(entries) => self.entries(rule, entries, path),
            Value::Message(money) if rule.flag("positive") => {
                let units = money.get_field_by_name("minor_units").and_then(|units| units.as_i64());
                if units.unwrap_or_default() < 1 {
                    self.broken(format!("{path}.minor_units"), POSITIVE);
                }
            }
            other => {
                if let Some(number) = integer(other) {
                    self.number(rule, number, path);
                }
            }
        }
    }

    fn text(&mut self, rule: &Rule<'_>, text: &str, path: &str) {
        if rule.number("min_len").is_some() || rule.number("max_len").is_some() {
            let min = rule.number("min_len").unwrap_or(0);
            let max = rule.number("max_len").unwrap_or(i64::MAX);
            if !(min..=max).contains(&length(text.chars().count())) {
                self.broken(path, format!("must have {min} to {max} characters"));
            }
        }
        match rule.number("charset") {
            Some(1) if !is_identifier(text) => self.broken(path, IDENTIFIER),
            Some(2) if !is_currency(text) => self.broken(path, CURRENCY),
            Some(3) if !is_line(text) => self.broken(path, LINE),
            _ => {}
        }
    }

    fn number(&mut self, rule: &Rule<'_>, number: i64, path: &str) {
        let (min, max) = (rule.number("min"), rule.number("max"));
        if min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max) {
            return;
        }
        self.broken(
            path,
            match (min, max) {
                (Some(min), Some(max)) => format!("must be from {min} to {max}"),
                (Some(min), None) => format!("must be at least {min}"),
                (None, Some(max)) => format!("must be at most {max}"),
                (None, None) => return,
            },
        );
    }

    fn entries(&mut self, rule: &Rule<'_>, entries: &[Value], path: &str) {
        if rule.number("min_items").is_some() || rule.number("max_items").is_some() {
            let min = rule.number("min_items").unwrap_or(0);
            let max = rule.number("max_items").unwrap_or(i64::MAX);
            if !(min..=max).contains(&length(entries.len())) {
                self.broken(path, format!("must have {min} to {max} entries"));
            }
        }
        if let Some(by) = rule.text("unique_by") {
            let keys: Vec<String> = entries.iter().filter_map(|entry| key(entry, &by)).collect();
            if let Some((first, second)) = first_double(keys.iter().map(String::as_str)) {
                self.broken(path, double(first, second, &by));
            }
        }
    }

    fn broken(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Violation { path: path.into(), message: message.into() });
    }
}

/// A number as the rules compare it; none that is too large for them is within a limit.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I32(number) | Value::EnumNumber(number) => Some(i64::from(*number)),
        Value::I64(number) => Some(*number),
        Value::U32(number) => Some(i64::from(*number)),
        Value::U64(number) => Some(i64::try_from(*number).unwrap_or(i64::MAX)),
        _ => None,
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn key(entry: &Value, field: &str) -> Option<String> {
    entry.as_message()?.get_field_by_name(field)?.as_str().map(str::to_owned)
}

/// A field's rules.
pub(super) struct Rule<'a>(pub(super) &'a DynamicMessage);

impl Rule<'_> {
    fn set(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.0.get_field_by_name(name).filter(|_| self.0.has_field_by_name(name))
    }

    fn flag(&self, name: &str) -> bool {
        self.set(name).and_then(|value| value.as_bool()).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.set(name)?;
        value
            .as_i64()
            .or_else(|| value.as_u32().map(i64::from))
            .or_else(|| value.as_enum_number().map(i64::from))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.set(name).and_then(|value| value.as_str().map(str::to_owned))
    }
}
