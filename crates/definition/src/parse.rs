//! The CEL parser, kept from taking the process with it.
//!
//! The parser recurses, tens of kilobytes for each bracket in a debug build, and its own limit on depth comes too late:
//! fifty open brackets overflow the stack of a worker thread, and nothing can catch that. So brackets are counted
//! before, and the parser gets a stack of its own.

use cel::Program;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use super::value::ENV;

/// Deepest expression; evaluation recurses, and a long sum is as deep as it is long.
const MAX_DEPTH: usize = 200;
/// How many levels more a `map`, `filter`, `all` or `exists` counts for: what evaluates it takes that much more of the
/// stack.
const COMPREHENSION_DEPTH: usize = 10;
/// Brackets that are opened in one expression, those inside of texts too.
const MAX_BRACKETS: usize = 256;
/// Twice what the longest expression with that many brackets needs in a debug build. Only what is used is taken.
const STACK_BYTES: usize = 64 << 20;

/// What became of an expression's text.
pub(super) enum Parsed {
    Program(Box<Program>),
    TooDeep,
    /// The first mistake, which explains the others.
    SyntaxError {
        /// Line and column, as the parser counts them.
        at: (isize, isize),
        what: String,
    },
}

/// Parses `source`, whatever it is.
pub(super) fn parse(source: &str) -> Parsed {
    if source.bytes().filter(|byte| matches!(byte, b'(' | b'[' | b'{')).count() > MAX_BRACKETS {
        return Parsed::TooDeep;
    }
    let parsed = std::thread::scope(|scope| {
        let parsing = std::thread::Builder::new()
            .name("expression".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || parse_here(source));
        parsing.map(|parsing| parsing.join())
    });
    let failed = |what: String| Parsed::SyntaxError { at: (0, 0), what };
    match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => failed("the parser panicked".to_owned()),
        Err(error) => failed(format!("the parser has no thread: {error}")),
    }
}

/// What is too deep must be dropped here as well: dropping recurses too.
fn parse_here(source: &str) -> Parsed {
    match ENV.compile(source) {
        Ok(program) if is_deeper(program.expression(), MAX_DEPTH) => Parsed::TooDeep,
        Ok(program) => Parsed::Program(Box::new(program)),
        Err(errors) => {
            let first = errors.errors.into_iter().next();
            let (at, what) = first.map(|error| (error.pos, error.msg)).unwrap_or_default();
            Parsed::SyntaxError { at, what }
        }
    }
}

fn is_deeper(expr: &IdedExpr, limit: usize) -> bool {
    let Some(limit) = limit.checked_sub(1) else { return true };
    let deep = |expr: &IdedExpr| is_deeper(expr, limit);
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => false,
        Expr::Select(select) => deep(&select.operand),
        Expr::Call(call) => call.target.as_deref().is_some_and(deep) || call.args.iter().any(deep),
        Expr::List(list) => list.elements.iter().any(deep),
        Expr::Map(map) => map.entries.iter().any(|entry| is_entry_deeper(&entry.expr, limit)),
        Expr::Struct(made) => made.entries.iter().any(|entry| is_entry_deeper(&entry.expr, limit)),
        Expr::Comprehension(all) => {
            let deep = |expr: &IdedExpr| is_deeper(expr, limit.saturating_sub(COMPREHENSION_DEPTH));
            [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result]
                .into_iter()
                .any(deep)
        }
    }
}

fn is_entry_deeper(entry: &EntryExpr, limit: usize) -> bool {
    match entry {
        EntryExpr::StructField(field) => is_deeper(&field.value, limit),
        EntryExpr::MapEntry(entry) => {
            is_deeper(&entry.key, limit) || is_deeper(&entry.value, limit)
        }
    }
}
