//! Runs the code of an expression, and counts what it takes.
//!
//! What CEL's operators and functions make of their operands is left to the `cel` crate. Its evaluator is not used for the
//! rest, since nothing could stop it: a few nested loops take longer than anybody waits, and a few doublings of a text
//! more memory than there is.

use std::cell::OnceCell;
use std::collections::HashMap;

use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt};
use cel::common::value::{CowVal, Val};

use super::call;
use super::code::{Body, Code, Loop};
use super::error::{ErrorKind, UnlocatedError};
use super::facts::Facts;
use super::meter::{self, Cost};
use super::typecheck::Slot;
use super::value::{Absent, is_absent, or_default, to_cel};

/// A value, either part of another or made for this place.
pub(super) type Found<'e> = CowVal<'e, 'static>;
type Outcome<'e> = Result<Found<'e>, UnlocatedError>;

/// One expression over the facts of one saga.
pub(super) struct Evaluation<'e> {
    facts: &'e Facts<'e>,
    slots: &'e [Slot],
    /// The slots that were asked for.
    values: Vec<OnceCell<Box<dyn Val>>>,
}

/// What the loops around a place go through at the moment, the innermost first.
#[derive(Clone, Copy)]
struct Locals<'l> {
    name: &'l str,
    value: &'l (dyn Val + 'static),
    outer: Option<&'l Locals<'l>>,
}

type Scope<'l> = Option<&'l Locals<'l>>;

impl<'e> Evaluation<'e> {
    pub(super) fn new(facts: &'e Facts<'e>, slots: &'e [Slot]) -> Self {
        let values = slots.iter().map(|_| OnceCell::new()).collect();
        Self { facts, slots, values }
    }

    pub(super) fn run<'l>(&'l self, code: &'l Code) -> Outcome<'l> {
        self.eval(code, None)
    }

    fn eval<'l>(&'l self, code: &'l Code, scope: Scope<'l>) -> Outcome<'l> {
        self.charge(Cost::steps(1))?;
        match code {
            Code::Literal(literal) => Ok(literal.to_val()),
            Code::Slot(index) => self.slot(*index),
            Code::Local(name) => local(name, scope),
            Code::Select(of, field) => {
                let of = self.eval(of, scope)?;
                self.select(of, &CelString::from(field.clone()))
            }
            Code::If(parts) => {
                let [condition, yes, no] = &**parts;
                let holds = truth(&*self.eval(condition, scope)?)?;
                self.eval(if holds { yes } else { no }, scope)
            }
            Code::And(sides) => self.either(sides, false, scope),
            Code::Or(sides) => self.either(sides, true, scope),
            Code::List(items) => {
                let items = items.iter().map(|item| self.owned(self.eval(item, scope)?));
                Ok(CowVal::owned(CelList::from(items.collect::<Result<Vec<_>, _>>()?)))
            }
            Code::Map(entries) => self.map(entries, scope),
            Code::Operator(name, operands) => match (name.as_str(), operands.as_slice()) {
                (call::INDEX, [of, index]) => {
                    let of = self.eval(of, scope)?;
                    self.select(of, &*self.operand(index, scope)?)
                }
                (name, operands) => {
                    let operands = self.all(operands, scope)?;
                    self.charge(call::cost_of_operator(name, &operands))?;
                    call::operator(name, &operands)
                }
            },
            Code::Function(name, operands) => {
                let operands = self.all(operands, scope)?;
                self.charge(call::cost_of_function(name, &operands))?;
                call::function(name, operands)
            }
            Code::Method(method, operands) => {
                let operands = self.all(operands, scope)?;
                self.charge(call::cost_of_function(&method.name, &operands))?;
                call::method(method, operands)
            }
            Code::Loop(code) => self.repeat(code, scope),
        }
    }

    fn charge(&self, cost: Cost) -> Result<(), UnlocatedError> {
        self.facts.meter().charge(cost)
    }

    fn all<'l>(
        &'l self,
        codes: &'l [Code],
        scope: Scope<'l>,
    ) -> Result<Vec<Found<'l>>, UnlocatedError> {
        codes.iter().map(|code| self.operand(code, scope)).collect()
    }

    /// A value as operators and functions take it: what is absent is its default.
    fn operand<'l>(&'l self, code: &'l Code, scope: Scope<'l>) -> Outcome<'l> {
        Ok(match self.eval(code, scope)? {
            CowVal::Borrowed(value) => CowVal::Borrowed(or_default(value)),
            CowVal::Owned(value) => match value.downcast_ref::<Absent>() {
                Some(Absent(default)) => {
                    self.owned(CowVal::Borrowed(default.as_ref())).map(CowVal::Owned)?
                }
                None => CowVal::Owned(value),
            },
        })
    }

    fn slot(&self, index: usize) -> Outcome<'_> {
        let (Some(slot), Some(cell)) = (self.slots.get(index), self.values.get(index)) else {
            return Err(UnlocatedError::new(ErrorKind::Type, "a slot is missing"));
        };
        if let Some(value) = cell.get() {
            return Ok(CowVal::Borrowed(value.as_ref()));
        }
        let value: Box<dyn Val> = match slot {
            Slot::Value(path) => {
                let found = self.facts.follow(path)?;
                self.charge(meter::of_value(&found.value))?;
                let value = to_cel(&found.value);
                if found.present { value } else { Box::new(Absent(value)) }
            }
            Slot::Has(path) => Box::new(CelBool::from(self.facts.is_set(path)?)),
        };
        Ok(CowVal::Borrowed(cell.get_or_init(|| value).as_ref()))
    }

    /// The value as one of its own; a part of another is copied.
    fn owned(&self, value: Found<'_>) -> Result<Box<dyn Val>, UnlocatedError> {
        if let CowVal::Borrowed(value) = value {
            self.charge(meter::of_val(value))?;
        }
        Ok(value.into_owned())
    }

    /// The field of a message, the entry of a map, or the item of a list.
    fn select<'l>(&self, of: Found<'l>, key: &dyn Val) -> Outcome<'l> {
        if let Some(Absent(default)) = of.downcast_ref::<Absent>() {
            // Nothing that is inside of it is there either.
            let default = self.owned(CowVal::Borrowed(default.as_ref()))?;
            let found = self.select(CowVal::Owned(default), key)?;
            return Ok(match is_absent(&*found) {
                true => found,
                false => CowVal::owned(Absent(found.into_owned())),
            });
        }
        let none = |of: &dyn Val| call::no_overload(call::INDEX, &[of, key]);
        let failed = |error: cel::ExecutionError, of: &dyn Val| match call::is_mismatch(&error) {
            true => none(of),
            false => call::failure(&error),
        };
        match of {
            CowVal::Borrowed(of) => {
                let found = of.as_indexer().ok_or_else(|| none(of))?.get(key);
                let found = found.map_err(|error| failed(error, of))?;
                if let CowVal::Owned(found) = &found {
                    // Only a message makes its fields when they are asked for.
                    self.charge(meter::of_val(found.as_ref()))?;
                }
                Ok(found)
            }
            CowVal::Owned(of) => {
                let found = of.as_indexer().ok_or_else(|| none(of.as_ref()))?.get(key);
                let found = found.map_err(|error| failed(error, of.as_ref()))?;
                self.owned(found).map(CowVal::Owned)
            }
        }
    }

    /// `&&` and `||`: the side that decides does so whatever is wrong with the other.
    fn either<'l>(&'l self, sides: &'l [Code; 2], decides: bool, scope: Scope<'l>) -> Outcome<'l> {
        let left = self.truth_of(&sides[0], scope);
        match left {
            Ok(left) if left == decides => return Ok(boolean(decides)),
            Err(failure) if failure.is_final() => return Err(failure),
            _ => {}
        }
        match (left, self.truth_of(&sides[1], scope)?) {
            (_, right) if right == decides => Ok(boolean(decides)),
            (Ok(_), right) => Ok(boolean(right)),
            (Err(failure), _) => Err(failure),
        }
    }

    fn truth_of<'l>(&'l self, code: &'l Code, scope: Scope<'l>) -> Result<bool, UnlocatedError> {
        truth(&*self.eval(code, scope)?)
    }

    fn map<'l>(&'l self, entries: &'l [(Code, Code)], scope: Scope<'l>) -> Outcome<'l> {
        let mut map: HashMap<CelMapKey<'static>, Box<dyn Val>> =
            HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.owned(self.operand(key, scope)?)?;
            let key = CelMapKey::try_from(key).map_err(|error| call::failure(&error))?;
            let value = self.owned(self.eval(value, scope)?)?;
            if map.contains_key(&key) || same_number(&key).is_some_and(|key| map.contains_key(&key))
            {
                return Err(UnlocatedError::new(
                    ErrorKind::Conversion,
                    "a map has the same key twice",
                ));
            }
            map.insert(key, value);
        }
        Ok(CowVal::owned(CelMap::from(map)))
    }

    fn repeat<'l>(&'l self, code: &'l Loop, scope: Scope<'l>) -> Outcome<'l> {
        let over = self.operand(&code.over, scope)?;
        let iterable = over.as_iterable().ok_or_else(|| wrong(&*over, "a list or a map"))?;
        let mut items = iterable.iter();
        let items = std::iter::from_fn(|| items.next());
        let mut rounds = items.map(|value| Locals { name: &code.name, value, outer: scope });
        match &code.body {
            Body::Collect { condition, item } => {
                let mut collected: Vec<Box<dyn Val>> = Vec::new();
                for round in rounds {
                    let wanted = match condition {
                        Some(condition) => truth(&*self.eval(condition, Some(&round))?)?,
                        None => true,
                    };
                    if wanted {
                        collected.push(self.owned(self.eval(item, Some(&round))?)?);
                    }
                }
                Ok(CowVal::owned(CelList::from(collected)))
            }
            Body::All(test) => self.decided(&mut rounds, test, false),
            Body::Exists(test) => self.decided(&mut rounds, test, true),
            Body::ExistsOne(test) => {
                let mut found = 0_usize;
                for round in rounds {
                    found += usize::from(truth(&*self.eval(test, Some(&round))?)?);
                }
                Ok(boolean(found == 1))
            }
        }
    }

    /// `all` and `exists`: the first item that decides does so whatever is wrong with others.
    fn decided<'l>(
        &self,
        rounds: &mut dyn Iterator<Item = Locals<'l>>,
        test: &Code,
        decides: bool,
    ) -> Outcome<'static> {
        let mut failed = None;
        for round in rounds {
            let found = self.eval(test, Some(&round)).and_then(|found| truth(&*found));
            match found {
                Ok(found) if found == decides => return Ok(boolean(decides)),
                Ok(_) => {}
                Err(failure) if failure.is_final() => return Err(failure),
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(boolean(!decides)), Err)
    }
}

fn local<'l>(name: &str, scope: Scope<'l>) -> Outcome<'l> {
    let mut at = scope;
    while let Some(locals) = at {
        if locals.name == name {
            return Ok(CowVal::Borrowed(locals.value));
        }
        at = locals.outer;
    }
    Err(UnlocatedError::new(ErrorKind::Type, format!("nothing is called `{name}` here")))
}

fn boolean(value: bool) -> Found<'static> {
    CowVal::Borrowed(if value { &CelBool::TRUE } else { &CelBool::FALSE })
}

pub(super) fn truth(value: &dyn Val) -> Result<bool, UnlocatedError> {
    let value = or_default(value);
    let found = value.downcast_ref::<CelBool>().map(|found| *found.inner());
    found.ok_or_else(|| wrong(value, "a bool"))
}

/// The failure of a value that is of another kind.
pub(super) fn wrong(value: &dyn Val, wanted: &str) -> UnlocatedError {
    let what = format!("a {} where {wanted} belongs", value.get_type().name());
    UnlocatedError::new(ErrorKind::Type, what)
}

/// The key that is the same number in CEL's other kind of whole numbers.
fn same_number(key: &CelMapKey<'_>) -> Option<CelMapKey<'static>> {
    match key {
        CelMapKey::Int(int) => {
            u64::try_from(*int.inner()).ok().map(|same| CelMapKey::UInt(CelUInt::from(same)))
        }
        CelMapKey::UInt(uint) => {
            i64::try_from(*uint.inner()).ok().map(|same| CelMapKey::Int(CelInt::from(same)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
