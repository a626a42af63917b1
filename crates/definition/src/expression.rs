//! One CEL expression: compiled once, evaluated against the facts of a saga.

use cel::common::ast::operators::{CONDITIONAL, GREATER, GREATER_EQUALS, LESS, LESS_EQUALS};
use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::common::types::{CelBool, CelDouble, CelInt, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, ExecutionError, OverloadError};
use prost_reflect::{FieldDescriptor, Kind, Value};

use super::assign;
use super::error::{ErrorKind, EvaluationError, UnlocatedError};
use super::facts::Facts;
use super::parse::{Parsed, parse};
use super::path::Path;
use super::problem::{Position, Problems};
use super::scope::Scope;
use super::typecheck::{Checker, Slot, slot_index, text};
use super::types::Type;
use super::value::{ENV, to_cel};
use super::yaml::{Literal, Text};

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// An expression that has been checked.
#[derive(Debug)]
pub(super) struct Expression {
    at: Position,
    source: String,
    code: Code,
    found: Type,
}

#[derive(Debug)]
enum Code {
    /// The expression is nothing but a path, which is copied and not evaluated.
    Path(Path),
    Cel {
        ast: IdedExpr,
        slots: Vec<Slot>,
    },
}

impl Expression {
    /// Compiles a scalar: a text is an expression, a number or boolean stands for itself.
    /// Every mistake becomes a problem at its own place.
    pub(super) fn compile(text: &Text, scope: &Scope<'_>, problems: &mut Problems) -> Option<Self> {
        let literal = match text.literal() {
            Literal::Text => return Self::compile_source(text, scope, problems),
            Literal::Null => {
                problems.add(text.at, "an expression is missing", "write one or remove the line");
                return None;
            }
            Literal::Bool(value) => LiteralValue::Boolean(CelBool::from(value)),
            Literal::Float(value) => LiteralValue::Double(CelDouble::from(value)),
            Literal::Int(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(int), _) => LiteralValue::Int(CelInt::from(int)),
                (_, Ok(uint)) => LiteralValue::UInt(CelUInt::from(uint)),
                _ => {
                    let what = format!("`{}` does not fit into 64 bits", text.value);
                    problems.add(text.at, what, "write a smaller number");
                    return None;
                }
            },
        };
        Some(Self::of_literal(text, literal))
    }

    fn of_literal(text: &Text, literal: LiteralValue) -> Self {
        let found = match &literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::UInt(_) => Type::Uint,
            _ => Type::Double,
        };
        let ast = IdedExpr { id: 0, expr: Expr::Literal(literal) };
        let code = Code::Cel { ast, slots: Vec::new() };
        Self { at: text.at, source: text.value.clone(), code, found }
    }

    fn compile_source(text: &Text, scope: &Scope<'_>, problems: &mut Problems) -> Option<Self> {
        if text.value.len() > MAX_LENGTH {
            let what = format!("an expression of more than {MAX_LENGTH} bytes");
            problems.add(text.at, what, "let the participant compute it");
            return None;
        }
        let program = match parse(&text.value) {
            Parsed::Program(program) => program,
            Parsed::TooDeep => {
                let what = "an expression is nested too deep";
                problems.add(text.at, what, "use a list or split it");
                return None;
            }
            Parsed::SyntaxError { at, what } => {
                let offset = offset_of(&text.value, at);
                let what = format!("this is no expression: {}", reason(&what));
                problems.add(text.place(offset), what, syntax_cure(&text.value));
                return None;
            }
        };
        let mut ast = program.expression().clone();
        let mut checker = Checker::new(scope, program.source_info());
        let (code, found) = match checker.whole_path(&ast) {
            Some((path, found)) => (Code::Path(path), found),
            None => {
                let found = checker.infer(&mut ast);
                let slots = std::mem::take(&mut checker.slots);
                (Code::Cel { ast, slots }, found)
            }
        };
        let sound = checker.type_errors.is_empty();
        for mistake in checker.type_errors {
            problems.add(text.place(mistake.offset), mistake.what, mistake.cure);
        }
        sound.then(|| Self { at: text.place(0), source: text.value.clone(), code, found })
    }

    pub(super) fn found(&self) -> &Type {
        &self.found
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// The literal texts that the expression may come to: itself, or the sides of its `? :`.
    pub(super) fn literal_texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if let Code::Cel { ast, .. } = &self.code {
            literal_texts(ast, &mut texts);
        }
        texts
    }

    /// A whole number as a floating point number, for `ratio: 1`.
    pub(super) fn literal_as_double(self, kind: &Kind) -> Self {
        match (&self.code, kind) {
            (Code::Cel { ast, .. }, Kind::Double | Kind::Float) => match &ast.expr {
                Expr::Literal(LiteralValue::Int(int)) => {
                    #[expect(clippy::cast_precision_loss, reason = "as in any language's literals")]
                    let double = LiteralValue::Double(CelDouble::from(*int.inner() as f64));
                    let ast = IdedExpr { id: 0, expr: Expr::Literal(double) };
                    let code = Code::Cel { ast, slots: Vec::new() };
                    Self { code, found: Type::Double, ..self }
                }
                _ => self,
            },
            _ => self,
        }
    }

    /// The value for `field`; `None` where it is to stay unset.
    pub(super) fn to_field(
        &self,
        facts: &Facts<'_>,
        field: &FieldDescriptor,
    ) -> Result<Option<Value>, UnlocatedError> {
        match &self.code {
            Code::Path(path) => {
                let found = facts.follow(path)?;
                if !found.present && field.supports_presence() {
                    return Ok(None);
                }
                assign::copy_to_field(&found.value, field)
            }
            Code::Cel { .. } => self.evaluate(facts, |value| assign::to_field(value, field)),
        }
    }

    /// The value for an item of a list or of a map.
    pub(super) fn to_item(
        &self,
        facts: &Facts<'_>,
        kind: &Kind,
    ) -> Result<Option<Value>, UnlocatedError> {
        match &self.code {
            Code::Path(path) => assign::copy_to_item(&facts.follow(path)?.value, kind),
            Code::Cel { .. } => self.evaluate(facts, |value| assign::to_kind(value, kind)),
        }
    }

    pub(super) fn to_bool(&self, facts: &Facts<'_>) -> Result<bool, UnlocatedError> {
        self.evaluate(facts, |value| {
            let found = value.downcast_ref::<CelBool>().map(|found| *found.inner());
            found.ok_or_else(|| unexpected(value, "a bool"))
        })
    }

    pub(super) fn to_text(&self, facts: &Facts<'_>) -> Result<String, UnlocatedError> {
        self.evaluate(facts, |value| {
            let found = value.downcast_ref::<CelString>().map(|found| found.inner().to_owned());
            found.ok_or_else(|| unexpected(value, "a string"))
        })
    }

    /// Gives a failure its place in the file.
    pub(super) fn fault(&self, failure: UnlocatedError, file: &str) -> EvaluationError {
        failure.at(file, self.at, &self.source)
    }

    fn evaluate<T>(
        &self,
        facts: &Facts<'_>,
        take: impl FnOnce(&dyn Val) -> Result<T, UnlocatedError>,
    ) -> Result<T, UnlocatedError> {
        let (ast, slots) = match &self.code {
            Code::Path(path) => return take(to_cel(&facts.follow(path)?.value).as_ref()),
            Code::Cel { ast, slots } => (ast, slots.as_slice()),
        };
        let bound = Bound { facts, slots };
        let mut context = Context::with_env(ENV.clone());
        context.set_variable_resolver(&bound);
        match cel::Value::resolve_val(ast, &context) {
            Ok(value) => take(value.as_ref()),
            Err(error) => Err(bound.failure(&error)),
        }
    }
}

/// The slots of an expression, bound to one saga.
struct Bound<'e> {
    facts: &'e Facts<'e>,
    slots: &'e [Slot],
}

impl Bound<'_> {
    fn value<'v>(&self, slot: &Slot) -> Result<Box<dyn Val + 'v>, UnlocatedError> {
        Ok(match slot {
            Slot::Value(path) => to_cel(&self.facts.follow(path)?.value),
            Slot::Has(path) => Box::new(CelBool::from(self.facts.is_set(path)?)),
        })
    }

    fn failure(&self, error: &ExecutionError) -> UnlocatedError {
        // A resolver cannot return an error, so the slot is evaluated once more to get it.
        if let ExecutionError::UndeclaredReference(name) = error
            && let Some(slot) = slot_index(name).and_then(|index| self.slots.get(index))
            && let Err(failure) = self.value(slot)
        {
            return failure;
        }
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
            ExecutionError::NoSuchOverload(error) if is_unordered(error) => (
                ErrorKind::Arithmetic,
                "NaN is neither smaller nor greater than a number".to_owned(),
            ),
            other => (ErrorKind::Type, first_line(&other.to_string()).to_owned()),
        };
        UnlocatedError::new(cause, what)
    }
}

/// Whether two numbers had no order: one was NaN. The evaluator says the same of operands that no
/// comparison takes, and every two kinds of numbers have one.
fn is_unordered(error: &OverloadError) -> bool {
    let numbers = ["int", "uint", "double"];
    matches!(error.function(), LESS | LESS_EQUALS | GREATER | GREATER_EQUALS)
        && error.argument_types().iter().all(|name| numbers.contains(&name.as_str()))
}

impl VariableResolver for Bound<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let slot = self.slots.get(slot_index(name)?)?;
        self.value(slot).ok().map(CowVal::Owned)
    }
}

fn unexpected(value: &dyn Val, wanted: &str) -> UnlocatedError {
    let what = format!("a {} where {wanted} belongs", value.get_type().name());
    UnlocatedError::new(ErrorKind::Type, what)
}

/// The character that a line and column of a parse error mean.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let before: usize =
        source.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    before + usize::try_from(column).unwrap_or(1).saturating_sub(1)
}

fn literal_texts(expr: &IdedExpr, texts: &mut Vec<String>) {
    match &expr.expr {
        Expr::Call(call) if call.func_name == CONDITIONAL => {
            call.args.iter().skip(1).for_each(|side| literal_texts(side, texts));
        }
        _ => texts.extend(text(expr)),
    }
}

/// What the parser says, without the list of all tokens that it would have taken.
fn reason(message: &str) -> &str {
    let line = first_line(message);
    let line = line.strip_prefix("Syntax error: ").unwrap_or(line);
    line.split(" expecting {").next().unwrap_or(line)
}

fn syntax_cure(source: &str) -> &'static str {
    let opened = source.matches(['(', '[', '{']).count();
    if opened > source.matches([')', ']', '}']).count() {
        "close the bracket; inside { } and [ ] YAML ends a value at a comma, so put it in quotes"
    } else {
        "mend it; a text is written in quotes of its own: \"'text'\""
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}
