//! Operators and functions of operands that have been evaluated: what they cost, and what they come to.

use std::cmp::Ordering;

use cel::common::ast::operators as op;
use cel::common::types::{CelBool, CelBytes, CelList, CelMap, CelString};
use cel::common::value::{CowVal, Val};
use cel::{Context, ExecutionError};

use super::code::{Method, operand};
use super::error::{ErrorKind, UnlocatedError};
use super::evaluate::Found;
use super::meter::{Cost, of_val};
use super::signatures::symbol;
use super::value::{ENV, is_absent, or_default};

pub(super) const INDEX: &str = op::INDEX;

/// Characters that the search for a text inside of another compares in the time of a step.
const SEARCHED: usize = 256;

/// What an operator costs beyond its operands.
pub(super) fn cost_of_operator(name: &str, operands: &[Found<'_>]) -> Cost {
    match (name, operands) {
        // What is compared ends with the smaller of both.
        (op::EQUALS | op::NOT_EQUALS, [a, _]) => of_val(a.as_ref()),
        (op::IN, [_, container]) if container.downcast_ref::<CelList>().is_some() => {
            of_val(container.as_ref())
        }
        (op::ADD, [a, b]) => of_val(a.as_ref()).and(of_val(b.as_ref())),
        (_, operands) => lengths(operands),
    }
}

/// What a function costs beyond its operands, `operands` beginning with the target of a method.
pub(super) fn cost_of_function(name: &str, operands: &[Found<'_>]) -> Cost {
    let text = |index: usize| operands.get(index).and_then(|of| of.downcast_ref::<CelString>());
    let (subject, other) =
        (text(0).map_or("", CelString::inner), text(1).map_or("", CelString::inner));
    let cost = match name {
        "replace" => {
            let with = text(2).map_or(0, |with| with.inner().len());
            Cost::bytes(subject.matches(other).count().saturating_mul(with))
        }
        // Each part becomes a value.
        "split" => Cost::steps(subject.matches(other).count()),
        // Both become lists of characters, and are compared at every place.
        "indexOf" | "lastIndexOf" => {
            let compared = subject.len().saturating_mul(other.len().max(1)) / SEARCHED;
            Cost::steps(compared).and(Cost::bytes(subject.len().saturating_mul(4)))
        }
        "join" => operands.first().map_or(Cost::default(), |parts| {
            let count = parts.downcast_ref::<CelList>().map_or(0, |parts| parts.inner().len());
            of_val(parts.as_ref()).and(Cost::bytes(count.saturating_mul(other.len())))
        }),
        _ => Cost::default(),
    };
    cost.and(lengths(operands))
}

/// The lengths of the operands that are texts or bytes.
fn lengths(operands: &[Found<'_>]) -> Cost {
    let length = |of: &Found<'_>| {
        let text = of.downcast_ref::<CelString>().map(|text| text.inner().len());
        text.or_else(|| of.downcast_ref::<CelBytes>().map(|bytes| bytes.inner().len())).unwrap_or(0)
    };
    Cost::bytes(operands.iter().map(length).sum())
}

/// Applies an operator.
pub(super) fn operator<'l>(
    name: &str,
    operands: &[Found<'_>],
) -> Result<Found<'l>, UnlocatedError> {
    let values: Vec<&dyn Val> = operands.iter().map(AsRef::as_ref).collect();
    let none = || no_overload(name, &values);
    let found = match (name, values.as_slice()) {
        (op::EQUALS, [a, b]) => return Ok(boolean(equal(*a, *b))),
        (op::NOT_EQUALS, [a, b]) => return Ok(boolean(!equal(*a, *b))),
        (op::LESS, [a, b]) => return Ok(boolean(order(name, *a, *b)? == Ordering::Less)),
        (op::LESS_EQUALS, [a, b]) => return Ok(boolean(order(name, *a, *b)? != Ordering::Greater)),
        (op::GREATER, [a, b]) => return Ok(boolean(order(name, *a, *b)? == Ordering::Greater)),
        (op::GREATER_EQUALS, [a, b]) => return Ok(boolean(order(name, *a, *b)? != Ordering::Less)),
        (op::IN, [a, b]) => match b.downcast_ref::<CelList>() {
            Some(list) => {
                let is_in = list.inner().iter().any(|item| equal(*a, item.as_ref()));
                return Ok(boolean(is_in));
            }
            None => b.as_container().ok_or_else(none)?.contains(*a).map(boolean),
        },
        (op::LOGICAL_NOT, [a]) => {
            let value = a.downcast_ref::<CelBool>().ok_or_else(none)?;
            return Ok(boolean(!*value.inner()));
        }
        (op::NEGATE, [a]) => a.as_negator().ok_or_else(none)?.negate().map(CowVal::Owned),
        (op::ADD, [a, b]) => a.as_adder().ok_or_else(none)?.add(*b).map(made),
        (op::SUBSTRACT, [a, b]) => a.as_subtractor().ok_or_else(none)?.sub(*b).map(made),
        (op::MULTIPLY, [a, b]) => a.as_multiplier().ok_or_else(none)?.mul(*b).map(made),
        (op::DIVIDE, [a, b]) => a.as_divider().ok_or_else(none)?.div(*b).map(made),
        (op::MODULO, [a, b]) => a.as_modder().ok_or_else(none)?.modulo(*b).map(made),
        _ => return Err(none()),
    };
    found.map_err(|error| if is_mismatch(&error) { none() } else { failure(&error) })
}

/// CEL's equality, what is absent being its default, also inside of lists and maps.
fn equal(a: &dyn Val, b: &dyn Val) -> bool {
    let (a, b) = (or_default(a), or_default(b));
    if let (Some(a), Some(b)) = (a.downcast_ref::<CelList>(), b.downcast_ref::<CelList>()) {
        let mut pairs = a.inner().iter().zip(b.inner());
        return a.inner().len() == b.inner().len()
            && pairs.all(|(a, b)| equal(a.as_ref(), b.as_ref()));
    }
    if let (Some(a), Some(of)) = (a.downcast_ref::<CelMap>(), b.downcast_ref::<CelMap>()) {
        let found = |key: &dyn Val| b.as_indexer().and_then(|indexer| indexer.get(key).ok());
        return a.inner().len() == of.inner().len()
            && a.inner().iter().all(|(key, value)| {
                found(key.inner()).is_some_and(|other| equal(value.as_ref(), other.as_ref()))
            });
    }
    a.equals(b)
}

/// A list as functions take it, without anything in it that is absent.
fn with_defaults(value: Box<dyn Val>) -> Box<dyn Val> {
    match value.downcast_ref::<CelList>() {
        Some(list) if list.inner().iter().any(|item| is_absent(item.as_ref())) => {
            let items = list.inner().iter().map(|item| or_default(item.as_ref()).clone_as_boxed());
            Box::new(CelList::from(items.collect::<Vec<_>>()))
        }
        _ => value,
    }
}

fn made<'l>(value: Found<'_>) -> Found<'l> {
    CowVal::Owned(value.into_owned())
}

fn boolean<'l>(value: bool) -> Found<'l> {
    CowVal::Borrowed(if value { &CelBool::TRUE } else { &CelBool::FALSE })
}

/// Every two numbers have an order, but for NaN.
fn order(name: &str, a: &dyn Val, b: &dyn Val) -> Result<Ordering, UnlocatedError> {
    let compared = a.as_comparer().and_then(|comparer| comparer.compare(b).ok());
    compared.ok_or_else(|| {
        let is_number = |of: &dyn Val| matches!(of.get_type().name(), "int" | "uint" | "double");
        if is_number(a) && is_number(b) {
            let what = "NaN is neither smaller nor greater than a number";
            return UnlocatedError::new(ErrorKind::Arithmetic, what);
        }
        no_overload(name, &[a, b])
    })
}

/// Calls a function.
pub(super) fn function<'l>(
    name: &str,
    operands: Vec<Found<'l>>,
) -> Result<Found<'l>, UnlocatedError> {
    match ENV.find_overload(name, &operands) {
        Some(function) => function(operands).map_err(|error| failure(&error)),
        None => {
            let values: Vec<&dyn Val> = operands.iter().map(AsRef::as_ref).collect();
            Err(no_overload(name, &values))
        }
    }
}

/// Calls a function of the form `x.f(y)`. Only the evaluator of CEL finds these.
pub(super) fn method<'l>(
    method: &Method,
    operands: Vec<Found<'_>>,
) -> Result<Found<'l>, UnlocatedError> {
    let mut context: Context<'_, 'static> = Context::with_env(ENV.clone());
    for (index, value) in operands.into_iter().enumerate() {
        context.add_variable_as_val(operand(index), with_defaults(value.into_owned()));
    }
    match cel::Value::resolve_val(&method.call, &context) {
        Ok(found) => Ok(CowVal::Owned(found.into_owned())),
        Err(error) => Err(failure(&error)),
    }
}

/// The failure of operands of other kinds, which only values that are known at run time alone have.
pub(super) fn no_overload(name: &str, operands: &[&dyn Val]) -> UnlocatedError {
    let types: Vec<&str> = operands.iter().map(|of| of.get_type().name()).collect();
    let what = format!("no `{}` for ({})", symbol(name), types.join(", "));
    UnlocatedError::new(ErrorKind::Type, what)
}

/// Whether an operator did not take the kinds of its operands. Such an error may hold the operands themselves.
pub(super) fn is_mismatch(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchOverload(_)
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnexpectedType { .. }
    )
}

/// What an error of the `cel` crate means.
pub(super) fn failure(error: &ExecutionError) -> UnlocatedError {
    let (cause, what) = match error {
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            (ErrorKind::Arithmetic, "division by zero".to_owned())
        }
        ExecutionError::Overflow(..) => {
            (ErrorKind::Arithmetic, "the result does not fit into 64 bits".to_owned())
        }
        ExecutionError::NoSuchKey(key) => (ErrorKind::MissingKey, format!("no key `{key}`")),
        ExecutionError::IndexOutOfBounds(_) => {
            (ErrorKind::MissingKey, "the index is out of range".to_owned())
        }
        ExecutionError::DuplicateKey(_) => {
            (ErrorKind::Conversion, "a map has the same key twice".to_owned())
        }
        ExecutionError::FunctionError { function, message } => {
            (ErrorKind::Conversion, format!("{function}: {message}"))
        }
        other => {
            let what = other.to_string();
            (ErrorKind::Type, what.lines().next().unwrap_or_default().trim().to_owned())
        }
    };
    UnlocatedError::new(cause, what)
}
