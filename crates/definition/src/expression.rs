//! One CEL expression: compiled once, evaluated against the facts of a saga.

use cel::common::ast::LiteralValue;
use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelString, CelUInt};
use cel::common::value::Val;
use prost_reflect::{FieldDescriptor, Kind, Value};

use super::assign::{self, Item};
use super::call::INDEX;
use super::code::Code;
use super::error::{EvaluationError, UnlocatedError};
use super::evaluate::{Evaluation, truth, wrong};
use super::facts::Facts;
use super::meter;
use super::output::OutputValue;
use super::parse::{Parsed, parse};
use super::path::Path;
use super::problem::{Position, Problems};
use super::scalar;
use super::scope::Scope;
use super::typecheck::{Checker, Slot};
use super::types::Type;
use super::value::{is_absent, or_default, to_cel};
use super::words;
use super::yaml::{Literal, Node, Text};

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// An expression that has been checked.
#[derive(Debug)]
pub(super) struct Expression {
    at: Position,
    source: String,
    form: Form,
    found: Type,
}

/// How an expression is evaluated.
#[derive(Debug)]
pub(super) enum Form {
    /// Nothing but a path: copied, not evaluated.
    Path(Path),
    Code {
        code: Code,
        slots: Vec<Slot>,
    },
}

impl Form {
    fn literal(literal: LiteralValue) -> Self {
        Form::Code { code: Code::Literal(literal), slots: Vec::new() }
    }
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

    /// Compiles the condition under `key`.
    pub(super) fn compile_condition(
        key: &str,
        node: &Node,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(text) = node.text() else {
            let what = format!("`{key}` is {}, not an expression", node.describe());
            problems.add(node.at, what, "write one condition; join several with && and ||");
            return None;
        };
        let cure = "compare it with something, such as `… > 0`";
        Self::compile(text, scope, problems)?.wanted(key, &Type::Bool, cure, problems)
    }

    /// Compiles the expression under `key` that gives a text.
    pub(super) fn compile_text(
        key: &str,
        text: &Text,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let cure = "convert it: string(…)";
        Self::compile(text, scope, problems)?.wanted(key, &Type::String, cure, problems)
    }

    /// Compiles the expression under `key` that gives bytes, or a text that stands for them.
    pub(super) fn compile_bytes(
        key: &str,
        text: &Text,
        scope: &Scope<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let expression = Self::compile(text, scope, problems)?;
        match expression.found.operand() {
            Type::String => Some(expression),
            _ => expression.wanted(key, &Type::Bytes, "convert it: bytes(…)", problems),
        }
    }

    fn wanted(self, key: &str, wanted: &Type, cure: &str, problems: &mut Problems) -> Option<Self> {
        if self.found.is_open() || self.found.operand() == *wanted {
            return Some(self);
        }
        problems.add(self.at, format!("`{key}` wants {wanted}, got {}", self.found), cure);
        None
    }

    fn of_literal(text: &Text, literal: LiteralValue) -> Self {
        let found = match &literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::UInt(_) => Type::Uint,
            _ => Type::Double,
        };
        Self { at: text.at, source: text.value.clone(), form: Form::literal(literal), found }
    }

    fn compile_source(text: &Text, scope: &Scope<'_>, problems: &mut Problems) -> Option<Self> {
        if text.value.len() > MAX_LENGTH {
            let what = format!("an expression of more than {MAX_LENGTH} bytes");
            problems.add(text.at, what, "let the participant compute it");
            return None;
        }
        let readable = words::readable(&text.value);
        let program = match parse(&readable.text) {
            Parsed::Program(program) => program,
            Parsed::TooDeep => {
                let what = "an expression is nested too deep";
                problems.add(text.at, what, "use a list or split it");
                return None;
            }
            Parsed::SyntaxError { at, what } => {
                let offset = readable.written(offset_of(&readable.text, at));
                let what = format!("this is no expression: {}", reason(&what));
                problems.add(text.place(offset), what, syntax_cure(&text.value));
                return None;
            }
        };
        let mut ast = program.expression().clone();
        words::restore(&mut ast);
        let mut checker = Checker::new(scope, program.source_info());
        let (form, found) = match checker.whole_path(&ast) {
            Some((path, found)) => (Some(Form::Path(path)), found),
            None => {
                let found = checker.infer(&mut ast);
                let slots = std::mem::take(&mut checker.slots);
                (Code::of(ast).map(|code| Form::Code { code, slots }), found)
            }
        };
        let sound = checker.type_errors.is_empty();
        for mistake in checker.type_errors {
            problems.add(text.place(readable.written(mistake.offset)), mistake.what, mistake.cure);
        }
        if sound && form.is_none() {
            let what = "this form of an expression cannot be used here";
            problems.add(
                text.place(0),
                what,
                "use operators, functions and macros of CEL's standard",
            );
        }
        let form = form.filter(|_| sound)?;
        Some(Self { at: text.place(0), source: text.value.clone(), form, found })
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    pub(super) fn found(&self) -> &Type {
        &self.found
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// As it is written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The literal texts that the expression may come to: itself, or the sides of its `? :`.
    pub(super) fn literal_texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if let Form::Code { code, .. } = &self.form {
            literal_texts(code, &mut texts);
        }
        texts
    }

    /// Whether it may come to nothing that a field is set to.
    pub(super) fn may_be_absent(&self) -> bool {
        match &self.form {
            Form::Path(path) => path.may_be_absent(),
            Form::Code { code, slots } => may_be_absent(code, slots),
        }
    }

    /// A whole number as a floating point number, for `ratio: 1`, where it is one.
    pub(super) fn literal_as_double(self, kind: &Kind) -> Self {
        match (&self.form, kind) {
            (
                Form::Code { code: Code::Literal(LiteralValue::Int(int)), .. },
                Kind::Double | Kind::Float,
            ) => {
                let Some(double) = scalar::exact_double(i128::from(*int.inner())) else {
                    return self;
                };
                let double = LiteralValue::Double(CelDouble::from(double));
                Self { form: Form::literal(double), found: Type::Double, ..self }
            }
            _ => self,
        }
    }

    /// The value for `field`; `None` where it is to stay unset.
    pub(super) fn to_field(
        &self,
        facts: &Facts<'_>,
        field: &FieldDescriptor,
    ) -> Result<Option<Value>, UnlocatedError> {
        match &self.form {
            Form::Path(path) => {
                let found = facts.follow(path)?;
                if !found.present && field.supports_presence() {
                    return Ok(None);
                }
                facts.meter().charge(meter::of_value(&found.value))?;
                assign::copy_to_field(&found.value, field)
            }
            Form::Code { .. } => self.evaluate(facts, |value| assign::to_field(value, field)),
        }
    }

    /// The value for an item of a list or of a map.
    pub(super) fn to_item(&self, facts: &Facts<'_>, kind: &Kind) -> Result<Item, UnlocatedError> {
        match &self.form {
            Form::Path(path) => {
                let found = facts.follow(path)?;
                if !found.present {
                    return Ok(Item::Absent);
                }
                facts.meter().charge(meter::of_value(&found.value))?;
                assign::copy_to_item(&found.value, kind)
            }
            Form::Code { .. } => self.evaluate(facts, |value| assign::to_item(value, kind)),
        }
    }

    /// The value for the output of a saga; `None` for a field that is not set.
    pub(super) fn to_output(
        &self,
        facts: &Facts<'_>,
    ) -> Result<Option<OutputValue>, UnlocatedError> {
        match &self.form {
            Form::Path(path) => {
                let found = facts.follow(path)?;
                facts.meter().charge(meter::of_value(&found.value))?;
                Ok(found.present.then(|| OutputValue::Field(found.value.into_owned())))
            }
            Form::Code { code, slots } => {
                let evaluation = Evaluation::new(facts, slots);
                let value = evaluation.run(code)?.into_owned();
                facts.meter().charge(meter::of_val(value.as_ref()))?;
                Ok((!is_absent(value.as_ref())).then_some(OutputValue::Computed(value)))
            }
        }
    }

    pub(super) fn to_bool(&self, facts: &Facts<'_>) -> Result<bool, UnlocatedError> {
        self.evaluate(facts, truth)
    }

    pub(super) fn to_text(&self, facts: &Facts<'_>) -> Result<String, UnlocatedError> {
        self.evaluate(facts, |value| {
            let value = or_default(value);
            let found = value.downcast_ref::<CelString>().map(|found| found.inner().to_owned());
            found.ok_or_else(|| wrong(value, "a string"))
        })
    }

    /// The text, or else the bytes.
    pub(super) fn to_text_or_bytes(
        &self,
        facts: &Facts<'_>,
    ) -> Result<Result<String, Vec<u8>>, UnlocatedError> {
        self.evaluate(facts, |value| {
            if let Some(text) = value.downcast_ref::<CelString>() {
                return Ok(Ok(text.inner().to_owned()));
            }
            let bytes = value.downcast_ref::<CelBytes>().map(|bytes| Err(bytes.inner().to_vec()));
            bytes.ok_or_else(|| wrong(value, "a string or bytes"))
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
        match &self.form {
            Form::Path(path) => {
                let found = facts.follow(path)?;
                facts.meter().charge(meter::of_value(&found.value))?;
                take(to_cel(&found.value).as_ref())
            }
            Form::Code { code, slots } => take(Evaluation::new(facts, slots).run(code)?.as_ref()),
        }
    }
}

/// The character that a line and column of a parse error mean.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let before: usize =
        source.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    before + usize::try_from(column).unwrap_or(1).saturating_sub(1)
}

fn literal_texts(code: &Code, texts: &mut Vec<String>) {
    match code {
        Code::If(parts) => parts.iter().skip(1).for_each(|side| literal_texts(side, texts)),
        Code::Literal(LiteralValue::String(text)) => texts.push(text.inner().to_owned()),
        _ => {}
    }
}

fn may_be_absent(code: &Code, slots: &[Slot]) -> bool {
    match code {
        Code::If(parts) => parts.iter().skip(1).any(|side| may_be_absent(side, slots)),
        Code::Slot(index) => {
            matches!(slots.get(*index), Some(Slot::Value(path)) if path.may_be_absent())
        }
        Code::Literal(literal) => matches!(literal, LiteralValue::Null),
        Code::Operator(name, _) => name == INDEX,
        Code::Select(..) | Code::Local(_) => true,
        _ => false,
    }
}

/// What the parser says, without the list of all tokens that it would have taken.
fn reason(message: &str) -> &str {
    let line = first_line(message);
    let line = line.strip_prefix("Syntax error: ").unwrap_or(line);
    line.split(" expecting {").next().unwrap_or(line)
}

fn syntax_cure(source: &str) -> &'static str {
    if source.contains('`') {
        return "a field whose name is a word of CEL is written x.`in` or x['in']";
    }
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
