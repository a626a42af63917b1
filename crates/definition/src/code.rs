//! A checked expression as it is run: the parser's tree without what cannot be in it any more.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators as op,
};

use super::typecheck::slot_index;

/// One part of an expression.
#[derive(Debug)]
pub(super) enum Code {
    Literal(LiteralValue),
    Slot(usize),
    /// What a loop goes through, by its name.
    Local(String),
    Select(Box<Code>, String),
    If(Box<[Code; 3]>),
    And(Box<[Code; 2]>),
    Or(Box<[Code; 2]>),
    List(Vec<Code>),
    Map(Vec<(Code, Code)>),
    Operator(String, Vec<Code>),
    Function(String, Vec<Code>),
    Method(Method, Vec<Code>),
    Loop(Box<Loop>),
}

/// A call of a function in the form `x.f(y)`, the first operand being `x`.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: String,
    /// The call as the evaluator of CEL takes it, its operands being variables named by [`operand`].
    pub(super) call: IdedExpr,
}

/// One of CEL's macros over a list or the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) over: Code,
    pub(super) name: String,
    pub(super) body: Body,
}

/// What is done with each item.
#[derive(Debug)]
pub(super) enum Body {
    /// `map` and `filter`: the item of the result, where the condition holds.
    Collect {
        condition: Option<Code>,
        item: Code,
    },
    All(Code),
    Exists(Code),
    ExistsOne(Code),
}

impl Body {
    /// Every part of it.
    pub(super) fn codes(&self) -> Vec<&Code> {
        match self {
            Body::Collect { condition, item } => condition.iter().chain([item]).collect(),
            Body::All(test) | Body::Exists(test) | Body::ExistsOne(test) => vec![test],
        }
    }
}

/// The name of an operand of a [`Method`].
pub(super) fn operand(index: usize) -> String {
    format!("operand{index}")
}

impl Code {
    /// The code of an expression that passed the checker; `None` for what the checker lets nobody write.
    pub(super) fn of(expr: IdedExpr) -> Option<Self> {
        Some(match expr.expr {
            Expr::Literal(literal) => Code::Literal(literal),
            Expr::Ident(name) => match slot_index(&name) {
                Some(slot) => Code::Slot(slot),
                None => Code::Local(name),
            },
            Expr::Select(select) if !select.test => {
                Code::Select(Box::new(Code::of(*select.operand)?), select.field)
            }
            Expr::List(list) => Code::List(all(list.elements)?),
            Expr::Map(map) => {
                let entries = map.entries.into_iter().map(|entry| match entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        Some((Code::of(entry.key)?, Code::of(entry.value)?))
                    }
                    EntryExpr::StructField(_) => None,
                });
                Code::Map(entries.collect::<Option<_>>()?)
            }
            Expr::Call(call) => Code::call(call)?,
            Expr::Comprehension(comprehension) => Code::Loop(Box::new(Loop::of(*comprehension)?)),
            Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified => return None,
        })
    }

    fn call(call: CallExpr) -> Option<Self> {
        let CallExpr { func_name: name, target, args } = call;
        let Some(target) = target else {
            let args = all(args)?;
            return Some(match name.as_str() {
                op::CONDITIONAL => Code::If(Box::new(args.try_into().ok()?)),
                op::LOGICAL_AND => Code::And(Box::new(args.try_into().ok()?)),
                op::LOGICAL_OR => Code::Or(Box::new(args.try_into().ok()?)),
                // The name of an operator has a `_` for each operand, but for `in`.
                _ if name == op::IN || name.contains('_') => Code::Operator(name, args),
                // Only the checker sees a difference.
                "dyn" => args.into_iter().next()?,
                _ => Code::Function(name, args),
            });
        };
        let variable = |index| IdedExpr { id: 0, expr: Expr::Ident(operand(index)) };
        let call = CallExpr {
            func_name: name.clone(),
            target: Some(Box::new(variable(0))),
            args: (1..=args.len()).map(variable).collect(),
        };
        let call = IdedExpr { id: 0, expr: Expr::Call(call) };
        let mut operands = vec![Code::of(*target)?];
        operands.extend(all(args)?);
        Some(Code::Method(Method { name, call }, operands))
    }
}

fn all(expressions: Vec<IdedExpr>) -> Option<Vec<Code>> {
    expressions.into_iter().map(Code::of).collect()
}

impl Loop {
    /// A macro is known by what it does with its result in each round.
    fn of(expanded: ComprehensionExpr) -> Option<Self> {
        let ComprehensionExpr { iter_range, iter_var, accu_var, loop_step, result, .. } = expanded;
        let Expr::Call(CallExpr { func_name, args, .. }) = loop_step.expr else { return None };
        let is_result =
            |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == accu_var);
        let mut args = args.into_iter();
        let body = match (func_name.as_str(), args.next()?, args.next()?, args.next()) {
            (op::LOGICAL_AND, of, test, None) if is_result(&of) => Body::All(Code::of(test)?),
            (op::LOGICAL_OR, of, test, None) if is_result(&of) => Body::Exists(Code::of(test)?),
            (op::CONDITIONAL, test, _, Some(_)) if !is_result(&result) => {
                Body::ExistsOne(Code::of(test)?)
            }
            (op::CONDITIONAL, test, step, Some(_)) => {
                let Expr::Call(step) = step.expr else { return None };
                let item = collected(step.args.into_iter().nth(1)?)?;
                Body::Collect { condition: Some(Code::of(test)?), item }
            }
            (op::ADD, _, items, None) => Body::Collect { condition: None, item: collected(items)? },
            _ => return None,
        };
        Some(Self { over: Code::of(iter_range)?, name: iter_var, body })
    }
}

/// The one item of the list that a `map` or `filter` adds to its result.
fn collected(expr: IdedExpr) -> Option<Code> {
    match expr.expr {
        Expr::List(list) => Code::of(list.elements.into_iter().next()?),
        _ => None,
    }
}
