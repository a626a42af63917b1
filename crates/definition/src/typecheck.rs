//! Finds the type of an expression, and rewrites it for the evaluator on the way.
//!
//! Rewritten are: a path that begins at a message (it becomes a slot), `has(…)` (the evaluator's
//! own answers true for fields that are not set), `pkg.Enum.VALUE` and the name of an enum's value
//! in a comparison (they become numbers). An expression that passes here meets no type error at
//! run time, except through values of type dyn.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo,
    operators as op,
};
use cel::common::types::{CelInt, CelString};
use prost_reflect::EnumDescriptor;

use super::chain::Chain;
use super::fits;
use super::path::Path;
use super::problem::did_you_mean;
use super::scope::Scope;
use super::signatures::{self, CallMismatch};
use super::types::Type;
use super::value::HAS;

/// Six of them over ten items each take more steps than an evaluation may.
const MAX_NESTED_LOOPS: usize = 5;

/// What a slot of a rewritten expression stands for.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Value(Path),
    /// Whether the last segment of the path is set.
    Has(Path),
}

/// The name of a slot in the rewritten expression; no name that can be written begins like this.
pub(super) fn slot_name(index: usize) -> String {
    format!("${index}")
}

pub(super) fn slot_index(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}

/// A type error in an expression, at a character of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeError {
    pub(super) offset: usize,
    pub(super) what: String,
    pub(super) cure: String,
}

/// Checks one expression.
pub(super) struct Checker<'s, 'd> {
    pub(super) scope: &'s Scope<'d>,
    source: &'s SourceInfo,
    pub(super) locals: Vec<(String, Type)>,
    /// Where the innermost expression with a known place stands; macros make some without.
    pub(super) near: usize,
    pub(super) slots: Vec<Slot>,
    pub(super) type_errors: Vec<TypeError>,
}

impl<'s, 'd> Checker<'s, 'd> {
    pub(super) fn new(scope: &'s Scope<'d>, source: &'s SourceInfo) -> Self {
        let (locals, slots, type_errors) = (Vec::new(), Vec::new(), Vec::new());
        Self { scope, source, locals, near: 0, slots, type_errors }
    }

    /// The path that the whole expression is, if it is nothing else.
    pub(super) fn whole_path(&mut self, expr: &IdedExpr) -> Option<(Path, Type)> {
        match self.chain(expr) {
            Chain::Path(path, found) => Some((path, found)),
            _ => {
                self.type_errors.clear();
                None
            }
        }
    }

    /// The type of `expr`, which is rewritten in place.
    pub(super) fn infer(&mut self, expr: &mut IdedExpr) -> Type {
        let outer = self.near;
        if let Some(offset) = self.offset(expr.id) {
            self.near = offset;
        }
        let found = self.infer_here(expr);
        self.near = outer;
        found
    }

    fn infer_here(&mut self, expr: &mut IdedExpr) -> Type {
        if matches!(&expr.expr, Expr::Ident(_) | Expr::Select(SelectExpr { test: false, .. })) {
            match self.chain(expr) {
                Chain::Path(path, found) => {
                    expr.expr = self.slot(Slot::Value(path));
                    return found;
                }
                Chain::Constant(number, of) => {
                    expr.expr = Expr::Literal(LiteralValue::Int(CelInt::from(i64::from(number))));
                    return Type::Enum(of);
                }
                Chain::Wrong => return Type::Never,
                Chain::Other => {}
            }
        }
        match &mut expr.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.local(name).unwrap_or(Type::Never),
            Expr::Select(select) if select.test => {
                let (rewritten, found) = self.presence(select, expr.id);
                expr.expr = rewritten;
                found
            }
            Expr::Select(select) => {
                let operand = self.infer(&mut select.operand);
                self.selected(&operand, &select.field, expr.id)
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let items = list.elements.iter_mut();
                let item = items.fold(Type::Never, |all, item| all.join(&self.infer(item)));
                Type::List(Box::new(item))
            }
            Expr::Map(map) => {
                let entries: Vec<_> = map
                    .entries
                    .iter_mut()
                    .filter_map(|entry| match &mut entry.expr {
                        EntryExpr::MapEntry(entry) => Some(entry),
                        EntryExpr::StructField(_) => None,
                    })
                    .map(|entry| {
                        let name = text(&entry.key);
                        let at = self.offset(entry.key.id).unwrap_or(self.near);
                        (name, at, self.infer(&mut entry.key), self.infer(&mut entry.value))
                    })
                    .collect();
                self.map_type(entries)
            }
            Expr::Struct(literal) => {
                let cure = "write the fields as a map: { 'field': value }";
                let what = format!("`{}{{…}}` cannot be built here", literal.type_name);
                self.type_error(self.near, what, cure);
                Type::Never
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Unspecified => {
                self.type_error(self.near, "an expression is missing", "complete it");
                Type::Never
            }
        }
    }

    fn map_type(&mut self, entries: Vec<(Option<String>, usize, Type, Type)>) -> Type {
        let mut fields: Vec<(String, Type)> = Vec::new();
        for (name, at, key, value) in &entries {
            let key = key.operand();
            if !matches!(
                key,
                Type::String | Type::Int | Type::Uint | Type::Bool | Type::Dyn | Type::Never
            ) {
                let cure = "use a string, an int or a bool";
                self.type_error(*at, format!("a map has no keys of type {key}"), cure);
            }
            if let Some(name) = name {
                if fields.iter().any(|(known, _)| known == name) {
                    self.type_error(*at, format!("`{name}` is given twice"), "keep one of them");
                }
                fields.push((name.clone(), value.clone()));
            }
        }
        if fields.len() == entries.len() {
            return Type::Record(fields);
        }
        let key = entries.iter().fold(Type::Never, |all, (_, _, key, _)| all.join(key));
        let value = entries.iter().fold(Type::Never, |all, (_, _, _, value)| all.join(value));
        Type::Map(Box::new(key.operand()), Box::new(value))
    }

    fn call(&mut self, call: &mut CallExpr) -> Type {
        let near = self.near;
        let mut args: Vec<Type> = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = &mut call.target {
            args.push(self.infer(target));
        }
        args.extend(call.args.iter_mut().map(|arg| self.infer(arg)).collect::<Vec<_>>());
        if let (op::CONDITIONAL, [condition, yes, no]) = (call.func_name.as_str(), args.as_slice())
        {
            return self.conditional(condition, yes, no);
        }
        if matches!(call.func_name.as_str(), op::EQUALS | op::NOT_EQUALS | op::IN) {
            self.name_enum_values(call, &mut args);
        }
        let is_member = call.target.is_some();
        let found = match signatures::operator(&call.func_name, &args) {
            Some(found) if !is_member => found,
            _ => signatures::call(&call.func_name, is_member, &args),
        };
        self.near = near;
        self.accept(found)
    }

    fn conditional(&mut self, condition: &Type, yes: &Type, no: &Type) -> Type {
        if !condition.is_open() && condition.operand() != Type::Bool {
            let what = format!("`?` asks a bool, got {condition}");
            self.type_error(self.near, what, "compare it with something");
        }
        let differ = || {
            let what = format!("the two sides of `:` differ: {yes} and {no}");
            (what, "give both sides the same type".to_owned())
        };
        self.accept(yes.unify(no).ok_or_else(differ))
    }

    /// `order.state == 'ORDER_STATE_PAID'` compares numbers.
    fn name_enum_values(&mut self, call: &mut CallExpr, args: &mut [Type]) {
        let [left, right] = call.args.as_mut_slice() else { return };
        let [left_type, right_type] = args else { return };
        match (&*left_type, &*right_type) {
            (Type::Enum(of), Type::String) => *right_type = self.name_value(right, &of.clone()),
            (Type::String, Type::Enum(of)) => *left_type = self.name_value(left, &of.clone()),
            (Type::Enum(of), Type::List(item)) if **item == Type::String => {
                let of = of.clone();
                if let Expr::List(list) = &mut right.expr {
                    for item in &mut list.elements {
                        self.name_value(item, &of);
                    }
                    *right_type = Type::List(Box::new(Type::Enum(of)));
                }
            }
            _ => {}
        }
    }

    fn name_value(&mut self, expr: &mut IdedExpr, of: &EnumDescriptor) -> Type {
        let Some(name) = text(expr) else { return Type::String };
        match of.get_value_by_name(&name) {
            Some(value) => {
                let number = CelInt::from(i64::from(value.number()));
                expr.expr = Expr::Literal(LiteralValue::Int(number));
                Type::Enum(of.clone())
            }
            None => {
                let at = self.offset(expr.id).unwrap_or(self.near);
                let mismatch = fits::no_value(&name, of);
                self.type_error(at, mismatch.what, mismatch.cure);
                Type::Never
            }
        }
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) -> Type {
        let range = self.infer(&mut comprehension.iter_range);
        let item = match range.operand() {
            Type::List(item) => *item,
            Type::Map(key, _) => *key,
            open @ (Type::Dyn | Type::Never) => open,
            _ => {
                let what = format!("{range} has no items to go through");
                self.type_error(self.near, what, "use a list or a map");
                Type::Never
            }
        };
        let start = self.infer(&mut comprehension.accu_init);
        let depth = self.locals.len();
        let around = self.locals.iter().filter(|(name, _)| *name == comprehension.accu_var).count();
        if around == MAX_NESTED_LOOPS {
            let what = format!(
                "more than {MAX_NESTED_LOOPS} of `map`, `filter`, `all`, `exists` inside of each other"
            );
            self.type_error(self.near, what, "let the participant compute it");
        }
        self.locals.push((comprehension.iter_var.clone(), item));
        if let Some(second) = &comprehension.iter_var2 {
            self.locals.push((second.clone(), Type::Dyn));
        }
        self.locals.push((comprehension.accu_var.clone(), start.clone()));
        self.infer(&mut comprehension.loop_cond);
        let step = self.infer(&mut comprehension.loop_step);
        if let Some((_, accumulated)) = self.locals.last_mut() {
            *accumulated = start.join(&step);
        }
        let result = self.infer(&mut comprehension.result);
        self.locals.truncate(depth);
        result
    }

    /// `has(m.f)`, rewritten so that a field which is not set is told from one that is.
    fn presence(&mut self, select: &mut SelectExpr, id: u64) -> (Expr, Type) {
        let whole =
            IdedExpr { id, expr: Expr::Select(SelectExpr { test: false, ..select.clone() }) };
        match self.chain(&whole) {
            Chain::Path(path, _) if !path.segments.is_empty() => {
                return (self.slot(Slot::Has(path)), Type::Bool);
            }
            Chain::Wrong => return (Expr::Unspecified, Type::Bool),
            _ => {}
        }
        let mut operand = (*select.operand).clone();
        let operand_type = self.infer(&mut operand);
        self.selected(&operand_type, &select.field, id);
        let name = LiteralValue::String(CelString::from(select.field.clone()));
        let name = IdedExpr { id: operand.id, expr: Expr::Literal(name) };
        let args = vec![operand, name];
        (Expr::Call(CallExpr { func_name: HAS.to_owned(), target: None, args }), Type::Bool)
    }

    /// The type of a field of a value.
    pub(super) fn selected(&mut self, operand: &Type, field: &str, id: u64) -> Type {
        let at = self.field_offset(id);
        match operand.operand() {
            open @ (Type::Dyn | Type::Never) => return open,
            Type::Message(message) => match message.get_field_by_name(field) {
                Some(descriptor) => return Type::of_field(&descriptor),
                None => {
                    let mismatch = fits::no_field(field, &message);
                    self.type_error(at, mismatch.what, mismatch.cure);
                }
            },
            Type::Map(key, value) if key.is_open() || *key == Type::String => match operand {
                Type::Record(fields) => match fields.iter().find(|(name, _)| name == field) {
                    Some((_, found)) => return found.clone(),
                    None => {
                        let names = fields.iter().map(|(name, _)| name.as_str());
                        let cure = did_you_mean(field, names, "add it to the map");
                        self.type_error(at, format!("no key `{field}` in this map"), cure);
                    }
                },
                _ => return *value,
            },
            Type::List(_) => {
                let cure = "index it, `[0]`, or go through it with map(…), filter(…), exists(…)";
                self.type_error(at, format!("`{field}` is asked of a list"), cure);
            }
            other => {
                let what = format!("`{field}` is asked of a {other}, which has no fields");
                self.type_error(at, what, "leave it out");
            }
        }
        Type::Never
    }

    fn slot(&mut self, slot: Slot) -> Expr {
        self.slots.push(slot);
        Expr::Ident(slot_name(self.slots.len() - 1))
    }

    pub(super) fn local(&self, name: &str) -> Option<Type> {
        let found = self.locals.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, known)| known.clone())
    }

    fn accept(&mut self, found: Result<Type, CallMismatch>) -> Type {
        found.unwrap_or_else(|(what, cure)| {
            self.type_error(self.near, what, cure);
            Type::Never
        })
    }

    pub(super) fn type_error(
        &mut self,
        offset: usize,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let type_error = TypeError { offset, what: what.into(), cure: cure.into() };
        if !self.type_errors.contains(&type_error) {
            self.type_errors.push(type_error);
        }
    }

    pub(super) fn offset(&self, id: u64) -> Option<usize> {
        self.source.offset_for(id).map(|(start, _)| start as usize)
    }

    /// A selection's own place is its dot; the field stands behind it.
    pub(super) fn field_offset(&self, id: u64) -> usize {
        let Some(dot) = self.offset(id) else { return self.near };
        let behind = self.source.source.chars().skip(dot);
        dot + behind.take_while(|c| *c == '.' || c.is_whitespace()).count()
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// The text that a string literal is.
pub(super) fn text(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}
