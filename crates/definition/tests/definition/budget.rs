//! An evaluation ends, whatever the definition and the saga's values are: what it may take is counted.

use std::time::Duration;

use clock::Clock;
use definition::{ErrorKind, EvaluationError, Identity, Prepared};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use saga::StepId;

use crate::shop::{compile, descriptors, problems};

fn definition(with: &str) -> String {
    format!(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: take\n    \
         call: shop.v1.Everything/Take\n    with: {with}\n"
    )
}

/// What a step takes in `text`, made by `expression` from an `All` with these numbers and this text.
fn taken(expression: &str, numbers: usize, text: &str) -> Result<Prepared, EvaluationError> {
    let compiled = compile(&definition(&format!("{{ text: \"{expression}\" }}")));
    let mut request = DynamicMessage::new(descriptors().message("shop.v1.All").unwrap());
    let numbers = (0..numbers).map(|_| Value::I32(1)).collect();
    request.set_field_by_name("numbers", Value::List(numbers));
    request.set_field_by_name("text", Value::String(text.to_owned()));
    let input = request.encode_to_vec();
    let facts = compiled.facts(Identity::default(), &input);
    let clock = Clock::system();
    let began = clock.now();
    let prepared = compiled.prepare_call(StepId(0), &facts);
    let took = clock.now().since(began);
    // A debug build on a busy machine; unbounded, each of these takes minutes at least.
    assert!(took < Duration::from_secs(10), "{took:?} for {expression}");
    assert!(facts.used() <= 1_000);
    prepared
}

fn over_budget(expression: &str, numbers: usize, text: &str) {
    let fault = taken(expression, numbers, text).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Budget, "{expression}: {fault}");
    let told = fault.to_string();
    assert!(told.starts_with("t.yaml:7:"), "{told}");
    assert!(told.contains("this takes more than "), "{told}");
    assert!(told.len() < 3_000, "{} bytes", told.len());
}

/// `depth` loops inside of each other, each over `over`.
fn nested(depth: usize, over: &str) -> String {
    (0..depth).fold("1".to_owned(), |inner, level| format!("{over}.map(x{level}, {inner})"))
}

#[test]
fn loops_inside_of_each_other_are_refused_beyond_some_and_bounded_below() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    let source = definition(&format!("{{ text: \"string(size({}))\" }}", nested(9, ten)));
    let found = problems(&source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with(
            "more than 5 of `map`, `filter`, `all`, `exists` inside of each other; let the participant compute it"
        ),
        "{found:?}"
    );
    over_budget(&format!("string(size({}))", nested(5, "request.numbers")), 20, "");
}

#[test]
fn an_innocent_definition_ends_with_whatever_it_is_given() {
    let innocent = "request.numbers.all(a, request.numbers.exists(b, b == a)) ? 'all' : 'some'";
    assert!(taken(innocent, 100, "").is_ok());
    let pairs = "string(size(request.numbers.map(a, request.numbers.filter(b, b == a))))";
    assert!(taken(pairs, 100, "").is_ok());
    over_budget(pairs, 6_000, "");
}

#[test]
fn what_an_or_or_an_exists_would_absorb_ends_the_evaluation_too() {
    let pairs = "size(request.numbers.filter(a, request.numbers.all(b, b == a))) > 0";
    for absorbing in [
        format!("{pairs} || true ? 'a' : 'b'"),
        format!("request.numbers.exists(c, {pairs} || c == 1) ? 'a' : 'b'"),
        format!("!({pairs} && false) ? 'a' : 'b'"),
        format!("request.numbers.all(c, {pairs} && c == 2) ? 'a' : 'b'"),
    ] {
        over_budget(&absorbing, 6_000, "");
    }
}

#[test]
fn texts_and_lists_that_grow_from_step_to_step_are_bounded() {
    let doubled = |made: &str, times: usize| {
        (0..times).fold(made.to_owned(), |inner, level| {
            format!("[{inner}].map(x{level}, x{level} + x{level})[0]")
        })
    };
    over_budget(&doubled("request.text", 14), 0, &"abc".repeat(1_000));
    over_budget(&format!("string(size({}))", doubled("request.numbers", 14)), 1_000, "");
    // Each stage has what came before eight times, and is one level deeper.
    let lists = (0..12).fold("[request.text]".to_owned(), |made, level| {
        format!("[{made}].map(x{level}, [x{level},x{level},x{level},x{level},x{level},x{level},x{level},x{level}])")
    });
    over_budget(&format!("string(size({lists}))"), 0, "abc");
    let wide = format!("string(size([{}]))", vec!["request.texts"; 500].join(","));
    assert!(taken(&wide, 0, "").is_ok());
}

#[test]
fn functions_whose_result_is_far_larger_than_their_operands_are_counted_before() {
    let text = "a".repeat(500_000);
    over_budget("request.text.replace('', request.text)", 0, &text);
    over_budget("request.text.replace('a', request.text)", 0, &text);
    over_budget("request.text.split('').join(request.text)", 0, &text);
    over_budget("request.numbers.map(n, 'a').join(request.text)", 1_000, &text);
    over_budget("string(size(request.text.split('')))", 0, &text);
    over_budget("string((request.text + 'b').indexOf(request.text + 'c'))", 0, &text);
    over_budget("string((request.text + 'b').lastIndexOf('b' + request.text))", 0, &text);
    over_budget("string(request.numbers.map(n, request.text.size()).size())", 10_000, &text);
    over_budget("string(request.numbers.exists(n, request.text == 'b'))", 10_000, &text);
    assert!(taken("request.text.replace('a', 'bc')", 0, &text).is_ok());
    assert!(taken("string(request.text.indexOf('b'))", 0, &text).is_ok());
}

#[test]
fn a_path_that_is_copied_often_is_counted() {
    let text = "a".repeat(4_000_000);
    let compiled = compile(&definition(
        "{ texts: [request.text, request.text, request.text, request.text, request.text] }",
    ));
    let mut request = DynamicMessage::new(descriptors().message("shop.v1.All").unwrap());
    request.set_field_by_name("text", Value::String(text));
    let input = request.encode_to_vec();
    let facts = compiled.facts(Identity::default(), &input);
    let fault = compiled.prepare_call(StepId(0), &facts).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Budget, "{fault}");
    assert_eq!(facts.used(), 1_000);
    assert!(fault.what.contains("16777216 bytes of texts"), "{fault}");

    let once = compile(&definition("{ text: request.text }"));
    assert!(once.prepare_call(StepId(0), &once.facts(Identity::default(), &input)).is_ok());
}

/// A list of four million numbers in four megabytes, and one of two million empty messages: some 100 bytes for each are
/// taken in memory.
#[test]
fn a_message_that_would_be_far_larger_in_memory_is_not_decoded() {
    let compiled = compile(&definition("{ text: request.text }"));
    let empty: Vec<u8> = [0x72, 0x00].repeat(2_000_000);
    let mut packed = vec![0x6a, 0x80, 0x92, 0xf4, 0x01];
    packed.resize(5 + 4_000_000, 1);
    // The same numbers one by one, and in JSON.
    let unpacked: Vec<u8> = [0x68, 0x01].repeat(1_000_000);
    let null: Vec<u8> = [0x0a, 0x02, 0x08, 0x00].repeat(250_000);
    let mut json = vec![0xca, 0x01];
    let list = field(6, &null);
    prost::encoding::encode_varint(list.len() as u64, &mut json);
    json.extend(list);
    for bytes in [empty, packed, unpacked, json] {
        let facts = compiled.facts(Identity::default(), &bytes);
        let fault = compiled.prepare_call(StepId(0), &facts).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::Budget, "{fault}");
    }
}

fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

proptest! {
    /// Whatever the bytes are, counting them ends where decoding does, and neither panics.
    #[test]
    fn damaged_bytes_are_counted_or_refused(bytes in prop::collection::vec(any::<u8>(), 4_097..6_000)) {
        let compiled = compile(&definition("{ text: request.text }"));
        let facts = compiled.facts(Identity::default(), &bytes);
        if let Err(fault) = compiled.prepare_call(StepId(0), &facts) {
            prop_assert!(matches!(fault.kind, ErrorKind::Bytes | ErrorKind::Budget), "{}", fault);
        }
    }
}
