//! The operators and functions of expressions, and the types they take and give.
//!
//! What is not listed here cannot be used, whatever the evaluator would make of it.

use cel::common::ast::operators as op;

use super::problem::did_you_mean;
use super::types::Type;

/// A parameter's type.
#[derive(Clone, Copy)]
enum ParameterType {
    Bool,
    Int,
    Uint,
    Double,
    Str,
    Bytes,
    List,
    Texts,
    Map,
    Any,
}

/// A result's type.
#[derive(Clone, Copy)]
enum ReturnType {
    Bool,
    Int,
    Uint,
    Double,
    Str,
    Bytes,
    Texts,
    Dyn,
}

struct Signature {
    name: &'static str,
    /// `x.f(y)`, the first parameter being `x`; else `f(x, y)`.
    member: bool,
    parameters: &'static [ParameterType],
    returns: ReturnType,
}

const fn function(
    name: &'static str,
    parameters: &'static [ParameterType],
    returns: ReturnType,
) -> Signature {
    Signature { name, member: false, parameters, returns }
}

const fn member(
    name: &'static str,
    parameters: &'static [ParameterType],
    returns: ReturnType,
) -> Signature {
    Signature { name, member: true, parameters, returns }
}

use ParameterType::{Any, Bool, Bytes, Double, Int, List, Map, Str, Texts, Uint};

const FUNCTIONS: &[Signature] = &[
    function("size", &[Str], ReturnType::Int),
    function("size", &[Bytes], ReturnType::Int),
    function("size", &[List], ReturnType::Int),
    function("size", &[Map], ReturnType::Int),
    function("bool", &[Bool], ReturnType::Bool),
    function("bool", &[Str], ReturnType::Bool),
    function("int", &[Int], ReturnType::Int),
    function("int", &[Uint], ReturnType::Int),
    function("int", &[Double], ReturnType::Int),
    function("int", &[Str], ReturnType::Int),
    function("uint", &[Uint], ReturnType::Uint),
    function("uint", &[Int], ReturnType::Uint),
    function("uint", &[Double], ReturnType::Uint),
    function("uint", &[Str], ReturnType::Uint),
    function("double", &[Double], ReturnType::Double),
    function("double", &[Int], ReturnType::Double),
    function("double", &[Uint], ReturnType::Double),
    function("double", &[Str], ReturnType::Double),
    function("string", &[Str], ReturnType::Str),
    function("string", &[Bool], ReturnType::Str),
    function("string", &[Int], ReturnType::Str),
    function("string", &[Uint], ReturnType::Str),
    function("string", &[Double], ReturnType::Str),
    function("string", &[Bytes], ReturnType::Str),
    function("bytes", &[Bytes], ReturnType::Bytes),
    function("bytes", &[Str], ReturnType::Bytes),
    function("dyn", &[Any], ReturnType::Dyn),
    member("size", &[Str], ReturnType::Int),
    member("size", &[Bytes], ReturnType::Int),
    member("size", &[List], ReturnType::Int),
    member("size", &[Map], ReturnType::Int),
    member("contains", &[Str, Str], ReturnType::Bool),
    member("startsWith", &[Str, Str], ReturnType::Bool),
    member("endsWith", &[Str, Str], ReturnType::Bool),
    member("charAt", &[Str, Int], ReturnType::Str),
    member("indexOf", &[Str, Str], ReturnType::Int),
    member("indexOf", &[Str, Str, Int], ReturnType::Int),
    member("lastIndexOf", &[Str, Str], ReturnType::Int),
    member("join", &[Texts], ReturnType::Str),
    member("join", &[Texts, Str], ReturnType::Str),
    member("lowerAscii", &[Str], ReturnType::Str),
    member("upperAscii", &[Str], ReturnType::Str),
    member("trim", &[Str], ReturnType::Str),
    member("replace", &[Str, Str, Str], ReturnType::Str),
    member("split", &[Str, Str], ReturnType::Texts),
    member("substring", &[Str, Int], ReturnType::Str),
    member("substring", &[Str, Int, Int], ReturnType::Str),
];

/// What is wrong with a call, and the cure.
pub(super) type CallMismatch = (String, String);

impl ParameterType {
    fn accepts(self, given: &Type) -> bool {
        let given = given.operand();
        match (self, &given) {
            (Any, _) | (_, Type::Dyn | Type::Never) => true,
            (Bool, Type::Bool)
            | (Int, Type::Int)
            | (Uint, Type::Uint)
            | (Double, Type::Double)
            | (Str, Type::String)
            | (Bytes, Type::Bytes)
            | (List, Type::List(_))
            | (Map, Type::Map(..)) => true,
            (Texts, Type::List(item)) => item.is_open() || item.operand() == Type::String,
            _ => false,
        }
    }
}

impl ReturnType {
    fn to_type(self) -> Type {
        match self {
            ReturnType::Bool => Type::Bool,
            ReturnType::Int => Type::Int,
            ReturnType::Uint => Type::Uint,
            ReturnType::Double => Type::Double,
            ReturnType::Str => Type::String,
            ReturnType::Bytes => Type::Bytes,
            ReturnType::Texts => Type::List(Box::new(Type::String)),
            ReturnType::Dyn => Type::Dyn,
        }
    }
}

/// The type of a call of a function, `args` beginning with the target of a member call.
pub(super) fn call(name: &str, is_member: bool, args: &[Type]) -> Result<Type, CallMismatch> {
    let named: Vec<&Signature> =
        FUNCTIONS.iter().filter(|f| f.name == name && f.member == is_member).collect();
    if named.is_empty() {
        let mut names: Vec<&str> =
            FUNCTIONS.iter().filter(|f| f.member == is_member).map(|f| f.name).collect();
        names.dedup();
        names.extend(if is_member { &["all", "exists", "map", "filter"][..] } else { &["has"] });
        let otherwise = "use an operator or one of CEL's standard functions";
        let cure = did_you_mean(name, names, otherwise);
        return Err((format!("no function `{name}`"), cure));
    }
    let fits = |f: &&&Signature| {
        f.parameters.len() == args.len()
            && f.parameters.iter().zip(args).all(|(parameters, arg)| parameters.accepts(arg))
    };
    match named.iter().find(fits) {
        Some(found) => Ok(found.returns.to_type()),
        None => Err((no_overload(name, args), conversion(args))),
    }
}

/// The type of an operator's result.
pub(super) fn operator(name: &str, args: &[Type]) -> Option<Result<Type, CallMismatch>> {
    let result = match (name, args) {
        (op::LOGICAL_AND | op::LOGICAL_OR, [a, b]) => bools(&[a, b]),
        (op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, [a]) => bools(&[a]),
        (op::EQUALS | op::NOT_EQUALS, [a, b]) => a.comparable(b).then_some(Type::Bool),
        (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [a, b]) => ordered(a, b),
        (op::ADD, [a, b]) => added(a, b),
        (op::SUBSTRACT | op::MULTIPLY | op::DIVIDE, [a, b]) => {
            same(a, b, &[Type::Int, Type::Uint, Type::Double])
        }
        (op::MODULO, [a, b]) => same(a, b, &[Type::Int, Type::Uint]),
        (op::NEGATE, [a]) => match a.operand() {
            open @ (Type::Dyn | Type::Never) => Some(open),
            number @ (Type::Int | Type::Double) => Some(number),
            _ => None,
        },
        (op::IN, [item, container]) => contained(item, container),
        (op::INDEX, [container, index]) => indexed(container, index),
        _ => return None,
    };
    Some(result.ok_or_else(|| (no_overload(name, args), conversion(args))))
}

fn bools(args: &[&Type]) -> Option<Type> {
    args.iter().all(|arg| arg.is_open() || arg.operand() == Type::Bool).then_some(Type::Bool)
}

fn ordered(a: &Type, b: &Type) -> Option<Type> {
    let orderable = |t: &Type| {
        t.is_open()
            || t.is_number()
            || matches!(t.operand(), Type::String | Type::Bytes | Type::Bool)
    };
    (orderable(a) && orderable(b) && a.comparable(b)).then_some(Type::Bool)
}

fn added(a: &Type, b: &Type) -> Option<Type> {
    match (a.operand(), b.operand()) {
        (Type::List(a), Type::List(b)) => Some(Type::List(Box::new(a.unify(&b)?))),
        (list @ Type::List(_), Type::Dyn | Type::Never)
        | (Type::Dyn | Type::Never, list @ Type::List(_)) => {
            Some(list.join(&Type::List(Box::new(Type::Dyn))))
        }
        _ => same(a, b, &[Type::Int, Type::Uint, Type::Double, Type::String, Type::Bytes]),
    }
}

fn same(a: &Type, b: &Type, of: &[Type]) -> Option<Type> {
    match (a.operand(), b.operand()) {
        (open @ (Type::Dyn | Type::Never), other @ (Type::Dyn | Type::Never)) => open.unify(&other),
        (Type::Dyn | Type::Never, known) | (known, Type::Dyn | Type::Never) => {
            of.contains(&known).then_some(known)
        }
        (a, b) => (a == b && of.contains(&a)).then_some(a),
    }
}

fn contained(item: &Type, container: &Type) -> Option<Type> {
    let holds = match container.operand() {
        Type::Dyn | Type::Never => true,
        Type::List(element) => element.comparable(item),
        Type::Map(key, _) => key.comparable(item),
        _ => false,
    };
    holds.then_some(Type::Bool)
}

fn indexed(container: &Type, index: &Type) -> Option<Type> {
    match container.operand() {
        open @ (Type::Dyn | Type::Never) => Some(open),
        Type::List(item) => {
            let fits = index.is_open() || matches!(index.operand(), Type::Int | Type::Uint);
            fits.then_some(*item)
        }
        Type::Map(key, value) => key.comparable(index).then_some(*value),
        _ => None,
    }
}

/// The operator as it is written, for a sentence.
pub(super) fn symbol(name: &str) -> String {
    match name {
        op::IN => "in".to_owned(),
        op::NEGATE => "-".to_owned(),
        op::INDEX => "[]".to_owned(),
        _ => name.trim_matches('_').to_owned(),
    }
}

fn no_overload(name: &str, args: &[Type]) -> String {
    let types: Vec<String> = args.iter().map(written).collect();
    format!("no `{}` for ({})", symbol(name), types.join(", "))
}

/// Operators see an enum as an int and a wrapper as its scalar; so does who reads the problem.
fn written(given: &Type) -> String {
    match given {
        Type::Enum(_) => format!("enum {given}"),
        _ => given.operand().to_string(),
    }
}

fn conversion(args: &[Type]) -> String {
    let has = |wanted: &Type| args.iter().any(|arg| arg.operand() == *wanted);
    let cure = match () {
        () if has(&Type::Null) => "nothing is null here; ask with `has(…)`",
        () if has(&Type::String) && args.iter().any(Type::is_number) => {
            "convert one side: string(…), int(…)"
        }
        () if has(&Type::Double) => "convert one side: double(…) or int(…)",
        () if has(&Type::Uint) => "convert one side: int(…) or uint(…)",
        () => "give it values of the same kind",
    };
    cure.to_owned()
}
