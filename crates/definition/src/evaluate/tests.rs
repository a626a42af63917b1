//! What is counted comes to what the evaluator of the `cel` crate makes of it.

use cel::Context;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, MessageDescriptor};

use super::super::facts::Identity;
use super::super::parse::{Parsed, parse};
use super::super::value::ENV;
use super::*;

fn empty() -> MessageDescriptor {
    DescriptorPool::global().get_message_by_name("google.protobuf.Empty").unwrap()
}

/// What an expression of the tests comes to, where it has a value.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Int,
    Bool,
    Text,
    List,
}
use Wanted::{Bool, Int, List, Text};

/// How an expression is made of others; `x` and `y` are names of loops, where there are loops around.
const FORMS: [(Wanted, &str, &[Wanted]); 46] = [
    (Int, "x", &[]),
    (Int, "-3", &[]),
    (Int, "2", &[]),
    (Int, "9223372036854775807", &[]),
    (Int, "(# + #)", &[Int, Int]),
    (Int, "(# - #)", &[Int, Int]),
    (Int, "(# * #)", &[Int, Int]),
    (Int, "(# / #)", &[Int, Int]),
    (Int, "(# % #)", &[Int, Int]),
    (Int, "-(#)", &[Int]),
    (Int, "#[#]", &[List, Int]),
    (Int, "{'a': #, 'b': #}.a", &[Int, Text]),
    (Int, "{1: 'x', 1u: #}.size()", &[Text]),
    (Int, "size(#)", &[Text]),
    (Int, "#.indexOf(#)", &[Text, Text]),
    (Int, "(# ? # : #)", &[Bool, Int, Int]),
    (Bool, "true", &[]),
    (Bool, "(x == 2)", &[]),
    (Bool, "(6 / (x - 1) > 3)", &[]),
    (Bool, "false", &[]),
    (Bool, "!#", &[Bool]),
    (Bool, "(# && #)", &[Bool, Bool]),
    (Bool, "(# || #)", &[Bool, Bool]),
    (Bool, "(# < #)", &[Int, Int]),
    (Bool, "(double(#) >= 0.0 / 0.0)", &[Int]),
    (Bool, "(# == #)", &[List, List]),
    (Bool, "(# <= #)", &[Text, Text]),
    (Bool, "(# in #)", &[Int, List]),
    (Bool, "#.all(x, #)", &[List, Bool]),
    (Bool, "#.exists(x, #)", &[List, Bool]),
    (Bool, "#.exists_one(x, #)", &[List, Bool]),
    (Text, "''", &[]),
    (Text, "'aäb'", &[]),
    (Text, "(# + #)", &[Text, Text]),
    (Text, "string(#)", &[Int]),
    (Text, "#.replace(#, 'bb')", &[Text, Text]),
    (Text, "#.substring(#)", &[Text, Int]),
    (Text, "#.split(#).join('-')", &[Text, Text]),
    (Text, "#.map(y, string(y)).join(#)", &[List, Text]),
    (List, "[]", &[]),
    (List, "[1, 2, 3]", &[]),
    (List, "[#, #]", &[Int, Int]),
    (List, "(# + #)", &[List, List]),
    (List, "#.map(x, #)", &[List, Int]),
    (List, "#.filter(x, #)", &[List, Bool]),
    (List, "#.map(x, #, #)", &[List, Bool, Int]),
];

/// An expression that comes to what is `wanted`, drawn from `choices`.
fn expression(wanted: Wanted, depth: u32, choices: &mut impl Iterator<Item = usize>) -> String {
    let fits = |(made, _, of): &&(Wanted, &str, &[Wanted])| {
        *made as u8 == wanted as u8 && (of.is_empty() || depth > 0)
    };
    let forms: Vec<_> = FORMS.iter().filter(fits).collect();
    let (_, form, parts) = forms[choices.next().unwrap_or(0) % forms.len()];
    parts.iter().fold((*form).to_owned(), |form, part| {
        form.replacen('#', &expression(*part, depth - 1, choices), 1)
    })
}

fn expressions() -> impl Strategy<Value = String> {
    let wanted = prop::sample::select(vec![Bool, Bool, Text]);
    (wanted, prop::collection::vec(0_usize..1_000, 1..80)).prop_map(|(wanted, choices)| {
        let inner = expression(wanted, 4, &mut choices.into_iter());
        format!("[7].map(x, {inner})")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Where the evaluator of the `cel` crate has a value, this has the same; where it has none, neither has this.
    #[test]
    fn what_is_counted_comes_to_the_same(source in expressions()) {
        let Parsed::Program(program) = parse(&source) else { return Ok(()) };
        let Some(code) = Code::of(program.expression().clone()) else { return Ok(()) };
        let context = Context::with_env(ENV.clone());
        let expected = cel::Value::resolve_val(program.expression(), &context);
        let empty = empty();
        let facts = Facts::new(("t", 1), Identity::default(), (&empty, &[]), std::iter::empty());
        let evaluation = Evaluation::new(&facts, &[]);
        match (evaluation.run(&code), expected) {
            (Ok(found), Ok(expected)) => {
                let same = found.equals(expected.as_ref());prop_assert!(same, "{}: {:?}, not {:?}", source, found, expected);
            }
            (Err(_), Err(_)) => {}
            (found, expected) => prop_assert!(false, "{}: {:?}, not {:?}", source, found, expected),
        }
    }
}
