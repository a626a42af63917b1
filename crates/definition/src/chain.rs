//! What a chain of names such as `quote.lines` or `pkg.State.PAID` means at its place.

use cel::common::ast::{Expr, IdedExpr};
use prost_reflect::{EnumDescriptor, Kind, MessageDescriptor};

use super::fits;
use super::path::{Path, Root, Segment};
use super::problem::{closest, did_you_mean};
use super::scope::{Name, SAGA_FIELDS, saga_type};
use super::typecheck::Checker;
use super::types::{Type, WellKnown};

/// What a chain of selections leads to.
pub(super) enum Chain {
    /// A path from a message, with its type.
    Path(Path, Type),
    Constant(i32, EnumDescriptor),
    /// It has been reported.
    Wrong,
    /// It does not begin at a message; its operand has to be looked at.
    Other,
}

impl Checker<'_, '_> {
    /// Follows names and selections from the left as far as the descriptors know them.
    pub(super) fn chain(&mut self, expr: &IdedExpr) -> Chain {
        let mut fields: Vec<(&str, u64)> = Vec::new();
        let mut at = expr;
        let root = loop {
            match &at.expr {
                Expr::Ident(name) => break name,
                Expr::Select(select) if !select.test => {
                    fields.push((&select.field, at.id));
                    at = &select.operand;
                }
                _ => return Chain::Other,
            }
        };
        fields.reverse();
        if self.local(root).is_some() {
            return Chain::Other;
        }
        let offset = self.offset(at.id).unwrap_or(self.near);
        match self.scope.find(root).cloned() {
            Some(Name::Message(root, Some(message))) => self.path(root, &message, &fields),
            Some(Name::Message(_, None)) => Chain::Wrong,
            Some(Name::Hidden(what, cure)) => self.wrong(offset, what, cure),
            Some(Name::Saga) => self.about_saga(&fields, offset),
            None => self.constant(root, &fields, offset),
        }
    }

    fn path(&mut self, root: Root, message: &MessageDescriptor, fields: &[(&str, u64)]) -> Chain {
        let mut found = Type::Message(message.clone());
        let mut segments = Vec::with_capacity(fields.len());
        for (field, id) in fields {
            let (segment, next) = match &found {
                Type::Message(message) => {
                    match (WellKnown::of(message), message.get_field_by_name(field)) {
                        (None | Some(WellKnown::Written), Some(descriptor)) => {
                            let next = Type::of_field(&descriptor);
                            (Segment::Field(descriptor), next)
                        }
                        // The two fields of its own; what it holds is known when it has come.
                        (Some(WellKnown::Any), Some(descriptor)) => {
                            let next = Type::of_field(&descriptor);
                            (Segment::Field(descriptor), next)
                        }
                        (Some(WellKnown::Any), None) => return Chain::Other,
                        (Some(WellKnown::Struct | WellKnown::Value), _) => {
                            // Below JSON there is nothing but JSON; the type of the first step says so.
                            let next = json_below(message).unwrap_or(Type::Dyn);
                            (Segment::Key((*field).to_owned()), next)
                        }
                        _ => {
                            self.selected(&found, field, *id);
                            return Chain::Wrong;
                        }
                    }
                }
                Type::Map(key, value) if **key == Type::String => {
                    (Segment::Key((*field).to_owned()), (**value).clone())
                }
                _ => {
                    self.selected(&found, field, *id);
                    return Chain::Wrong;
                }
            };
            segments.push(segment);
            found = next;
        }
        Chain::Path(Path { root, segments }, found)
    }

    fn about_saga(&mut self, fields: &[(&str, u64)], offset: usize) -> Chain {
        let names = || SAGA_FIELDS.iter().map(|(name, _)| *name);
        match fields {
            [] => {
                let cure = "use saga.id, saga.name, saga.version, saga.key or saga.reason";
                self.wrong(offset, "`saga` is not a value".to_owned(), cure.to_owned())
            }
            [(name, id), rest @ ..] => match SAGA_FIELDS.iter().find(|(known, _)| known == name) {
                Some((_, about)) if rest.is_empty() => {
                    let path = Path { root: Root::Saga(*about), segments: Vec::new() };
                    Chain::Path(path, saga_type(*about))
                }
                Some((_, about)) => {
                    let (field, id) = rest[0];
                    self.selected(&saga_type(*about), field, id);
                    Chain::Wrong
                }
                None => {
                    let at = self.field_offset(*id);
                    let cure = did_you_mean(name, names(), "see the fields of `saga`");
                    self.wrong(at, format!("no field `{name}` in `saga`"), cure)
                }
            },
        }
    }

    fn constant(&mut self, root: &str, fields: &[(&str, u64)], offset: usize) -> Chain {
        let dotted = fields.iter().fold(root.to_owned(), |name, (field, _)| name + "." + field);
        if let Some(value) = self.scope.descriptors().enum_value(&dotted) {
            return Chain::Constant(value.number(), value.parent_enum().clone());
        }
        if let Some((of, mismatch)) = self.wrong_constant(&dotted) {
            // As many selections as the enum's name has dots lead to it; the next is the value.
            let at = fields.get(of).map_or(offset, |(_, id)| self.field_offset(*id));
            return self.wrong(at, mismatch.what, mismatch.cure);
        }
        let locals = self.locals.iter().map(|(name, _)| name.as_str());
        let locals = locals.filter(|name| !name.starts_with('@'));
        let names: Vec<&str> = self.scope.names().chain(locals).collect();
        let otherwise = format!("a text is written in quotes of its own: \"'{root}'\"");
        let cure = match closest(root, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => otherwise,
        };
        self.wrong(offset, format!("nothing is called `{root}` here"), cure)
    }

    /// A chain that names an enum, but no value of it; with the number of dots in the enum's name.
    fn wrong_constant(&self, dotted: &str) -> Option<(usize, fits::FieldMismatch)> {
        let (name, value) = dotted.rsplit_once('.')?;
        let of = self.scope.descriptors().enumeration(name)?;
        Some((name.matches('.').count(), fits::no_value(value, &of)))
    }

    fn wrong(&mut self, offset: usize, what: String, cure: String) -> Chain {
        self.type_error(offset, what, cure);
        Chain::Wrong
    }
}

fn json_below(message: &MessageDescriptor) -> Option<Type> {
    let fields = match WellKnown::of(message)? {
        WellKnown::Struct => message.clone(),
        WellKnown::Value => match message.get_field_by_name("struct_value")?.kind() {
            Kind::Message(fields) => fields,
            _ => return None,
        },
        _ => return None,
    };
    match Type::of_field(&fields.get_field_by_name("fields")?) {
        Type::Map(_, value) => Some(*value),
        _ => None,
    }
}
