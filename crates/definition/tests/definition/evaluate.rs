//! What a sound definition makes of requests and responses.

use bytes::Bytes;
use definition::{
    Compiled, Descriptors, Draft, ErrorKind, EvaluationError, Facts, Identity, Input, Prepared,
    PreparedUndo,
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use saga::StepId;

use crate::shop::{PLACE, compile, descriptors};

fn message(name: &str) -> MessageDescriptor {
    descriptors().message(name).unwrap()
}

/// The bytes of a message given as JSON.
fn bytes_of(name: &str, json: &str) -> Vec<u8> {
    let mut json = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(message(name), &mut json).unwrap().encode_to_vec()
}

fn json_of(name: &str, bytes: &[u8]) -> String {
    let message = DynamicMessage::decode(message(name), bytes).unwrap();
    serde_json::to_string(&message).unwrap()
}

fn step(compiled: &Compiled, name: &str) -> StepId {
    compiled.engine().find(name).unwrap()
}

fn request(prepared: Prepared) -> Bytes {
    match prepared {
        Prepared::Request(bytes) => bytes,
        Prepared::Skip => panic!("the step is skipped"),
    }
}

fn undo(prepared: PreparedUndo) -> Bytes {
    match prepared {
        PreparedUndo::Request(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// A saga of one step that takes `with` in an `All`, from a request that is an `All`.
fn taking(with: &str) -> Compiled {
    compile(&format!(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: take\n    \
         call: shop.v1.Everything/Take\n    with: {with}\n"
    ))
}

fn taken(with: &str, request_json: &str) -> Result<String, EvaluationError> {
    let compiled = taking(with);
    let input = bytes_of("shop.v1.All", request_json);
    let facts = compiled.facts(Identity::default(), &input);
    let prepared = compiled.prepare_call(StepId(0), &facts)?;
    Ok(json_of("shop.v1.All", &request(prepared)))
}

fn fault(with: &str, request_json: &str) -> String {
    taken(with, request_json).unwrap_err().to_string()
}

const REQUEST: &str = r#"{"userId":"ann","token":"t-1","points":"30",
    "lines":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1,"note":""}]}"#;
const QUOTE: &str = r#"{"total":{"currency":"EUR","minorUnits":"900"},
    "lines":[{"sku":"tea","quantity":2,"price":{"currency":"EUR","minorUnits":"300"}}]}"#;

#[test]
fn a_saga_goes_from_its_request_to_its_reply() {
    let compiled = compile(PLACE);
    let input = bytes_of("shop.v1.PlaceRequest", REQUEST);
    let (quote, freeze, charge) =
        (step(&compiled, "quote"), step(&compiled, "freeze"), step(&compiled, "charge"));
    assert_eq!(compiled.key(&input), Ok(Some("ann/t-1".to_owned())));

    let identity =
        Identity { id: "s-1", key: "ann/t-1", reason_code: "NO_STOCK", reason: "sold out" };
    let facts = compiled.facts(identity, &input);
    let quote_request = request(compiled.prepare_call(quote, &facts).unwrap());
    assert_eq!(
        json_of("shop.v1.QuoteRequest", &quote_request),
        r#"{"lines":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1,"note":""}]}"#
    );

    let quoted = bytes_of("shop.v1.QuoteResponse", QUOTE);
    let facts = facts.with_response(quote, &quoted);
    let freeze_request = request(compiled.prepare_call(freeze, &facts).unwrap());
    assert!(json_of("shop.v1.FreezeRequest", &freeze_request).contains(r#""orderNo":"s-1""#));
    assert_eq!(
        json_of("shop.v1.UnfreezeRequest", &undo(compiled.prepare_undo(freeze, &facts).unwrap())),
        r#"{"reason":"sold out","code":"NO_STOCK"}"#
    );

    let frozen = bytes_of("shop.v1.FreezeResponse", r#"{"freezeNo":"f-9"}"#);
    let facts = facts.with_response(freeze, &frozen);
    let charge_request = request(compiled.prepare_call(charge, &facts).unwrap());
    assert_eq!(
        json_of("shop.v1.ChargeRequest", &charge_request),
        r#"{"userId":"ann","amount":{"currency":"EUR","minorUnits":"900"},"points":"30"}"#
    );
    assert_eq!(
        json_of("shop.v1.PlaceResponse", &compiled.reply(&facts).unwrap()),
        r#"{"orderNo":"f-9","state":"STATE_PAID","skus":["tea","cup"]}"#,
        "the response of a step that has none reads as the empty message"
    );
}

#[test]
fn a_step_is_skipped_when_its_condition_is_false() {
    let compiled = compile(PLACE);
    let charge = step(&compiled, "charge");
    let input = bytes_of("shop.v1.PlaceRequest", r#"{"points":"900"}"#);
    let quoted = bytes_of("shop.v1.QuoteResponse", QUOTE);
    let facts = compiled.facts(Identity::default(), &input);
    let facts = facts.with_response(step(&compiled, "quote"), &quoted);
    assert_eq!(compiled.prepare_call(charge, &facts), Ok(Prepared::Skip));
}

#[test]
fn every_kind_of_field_can_be_copied() {
    let all = r#"{"flag":true,"small":-1,"big":"-9000000000","usmall":1,"ubig":"18446744073709551615",
        "single":1.5,"real":0.1,"text":"ä","raw":"AAE=","state":"STATE_PAID","mood":"MOOD_GLAD",
        "money":{"currency":"EUR","minorUnits":"5"},"numbers":[1,2],"lines":[{"sku":"a"}],
        "counts":{"x":"1"},"prices":{"7":{"currency":"EUR"}},"maybe":"0","left":"",
        "at":"2026-01-31T12:00:00Z","span":"1.500s","wrapped":"","counted":"0",
        "object":{"a":{"b":[1.0,null,true]}},"any":[1.0,"x"],"texts":["a","b"],
        "states":["STATE_OPEN"]}"#;
    let fields = message("shop.v1.All");
    let with: Vec<String> = fields
        .fields()
        .filter(|field| field.name() != "right")
        .map(|field| format!("{0}: request.{0}", field.name()))
        .collect();
    let copied = taken(&format!("{{ {} }}", with.join(", ")), all).unwrap();
    let expected = json_of("shop.v1.All", &bytes_of("shop.v1.All", all));
    assert_eq!(copied, expected);
    assert_eq!(taken("request", all).unwrap(), expected, "as a whole");
    // Through the evaluator, which sees ints, doubles and maps only.
    let with: Vec<String> = fields
        .fields()
        .filter(|field| !matches!(field.name(), "right"))
        .map(|field| format!("{0}: \"[request.{0}][0]\"", field.name()))
        .collect();
    assert_eq!(taken(&format!("{{ {} }}", with.join(", ")), all).unwrap(), expected);
}

#[test]
fn what_is_not_set_stays_unset() {
    let with = "{ maybe: request.maybe, money: request.money, wrapped: request.wrapped, left: request.left }";
    assert_eq!(taken(with, "{}").unwrap(), "{}");
    assert_eq!(taken("{ text: request.wrapped, big: request.counted }", "{}").unwrap(), "{}");
    assert_eq!(
        taken("{ text: \"has(request.money) ? 'y' : 'n'\" }", "{}").unwrap(),
        r#"{"text":"n"}"#
    );
    assert_eq!(
        taken("{ text: \"has(request.money) ? 'y' : 'n'\" }", r#"{"money":{}}"#).unwrap(),
        r#"{"text":"y"}"#
    );
    assert_eq!(
        taken(
            "{ texts: \"request.lines.filter(l, has(l.note)).map(l, l.sku)\" }",
            r#"{"lines":[{"sku":"a"},{"sku":"b","note":""}]}"#
        )
        .unwrap(),
        r#"{"texts":["b"]}"#
    );
    assert_eq!(taken("{ money: \"null\" }", "{}").unwrap(), "{}");
}

#[test]
fn literals_stand_for_themselves() {
    assert_eq!(
        taken("{ flag: true, small: 5, ubig: 18446744073709551615, real: 1, single: 0.5, state: 2, text: \"'x'\", numbers: [1, \"1 + 1\"] }", "{}").unwrap(),
        r#"{"flag":true,"small":5,"ubig":"18446744073709551615","single":0.5,"real":1.0,"text":"x","state":"STATE_PAID","numbers":[1,2]}"#
    );
}

#[test]
fn messages_are_built_from_yaml_and_from_maps_alike() {
    let expected = r#"{"money":{"currency":"EUR","minorUnits":"7"},"lines":[{"sku":"a","quantity":1}],"counts":{"x":"2"},"prices":{"4":{"currency":"USD"}},"object":{"a":[1.0,{"b":"c"}]},"any":{"k":true}}"#;
    let yaml = "{ money: { currency: \"'EUR'\", minor_units: 7 }, lines: [{ sku: \"'a'\", quantity: 1 }], \
        counts: { x: 2 }, prices: { 4: { currency: \"'USD'\" } }, object: { a: [1.0, { b: \"'c'\" }] }, any: { k: true } }";
    assert_eq!(taken(yaml, "{}").unwrap(), expected);
    let maps = "{ money: \"{'currency': 'EUR', 'minor_units': 7}\", lines: \"[{'sku': 'a', 'quantity': 1}]\", \
        counts: \"{'x': 2}\", prices: \"{4: request.money}\", object: \"{'a': [1.0, {'b': 'c'}]}\", any: \"{'k': true}\" }";
    assert_eq!(taken(maps, r#"{"money":{"currency":"USD"}}"#).unwrap(), expected);
    assert_eq!(
        taken(
            "\"{'text': 'whole', 'lines': request.lines.map(l, {'sku': l.sku + '!'})}\"",
            r#"{"lines":[{"sku":"a"},{"sku":"b"}]}"#
        )
        .unwrap(),
        r#"{"text":"whole","lines":[{"sku":"a!"},{"sku":"b!"}]}"#
    );
}

#[test]
fn times_may_be_written_as_texts() {
    assert_eq!(
        taken("{ at: \"'2026-01-31T12:00:00Z'\", span: \"'90s'\" }", "{}").unwrap(),
        r#"{"at":"2026-01-31T12:00:00Z","span":"90s"}"#
    );
    assert_eq!(
        fault("{ span: request.text }", r#"{"text":"soon"}"#),
        "t.yaml:7:19: `request.text`: `soon` is no Duration, such as `1.5s`"
    );
}

#[test]
fn enums_are_compared_and_given_by_name() {
    let with = "{ flag: \"request.state == 'STATE_PAID' && request.state in ['STATE_OPEN', 'STATE_PAID'] && request.state == shop.v1.State.STATE_PAID\", state: request.text }";
    assert_eq!(
        taken(with, r#"{"state":"STATE_PAID","text":"STATE_OPEN"}"#).unwrap(),
        r#"{"flag":true,"state":"STATE_OPEN"}"#
    );
    assert_eq!(
        fault("{ state: request.text }", r#"{"text":"OPEN"}"#),
        "t.yaml:7:20: `request.text`: no value `OPEN` in shop.v1.State"
    );
}

#[test]
fn a_number_out_of_range_is_a_fault_and_never_wraps() {
    assert_eq!(
        fault("{ small: request.big }", r#"{"big":"2147483648"}"#),
        "t.yaml:7:20: `request.big`: 2147483648 does not fit into int32"
    );
    assert_eq!(
        fault("{ usmall: request.big }", r#"{"big":"-1"}"#),
        "t.yaml:7:21: `request.big`: -1 does not fit into uint32"
    );
    assert_eq!(
        fault("{ single: request.real }", r#"{"real":1e300}"#),
        "t.yaml:7:21: `request.real`: 1e300 does not fit into float"
    );
    assert_eq!(
        fault("{ big: request.big + 1 }", r#"{"big":"9223372036854775807"}"#),
        "t.yaml:7:18: `request.big + 1`: the result does not fit into 64 bits"
    );
    assert_eq!(
        fault("{ big: request.big / request.maybe }", "{}"),
        "t.yaml:7:18: `request.big / request.maybe`: division by zero"
    );
    assert_eq!(
        fault("{ state: request.big }", r#"{"big":"2147483648"}"#).split(": ").last(),
        Some("2147483648 does not fit into shop.v1.State")
    );
}

#[test]
fn what_is_no_number_has_no_order_and_equals_nothing() {
    for operator in ["<", "<=", ">", ">="] {
        for (a, b) in [
            ("request.real", "1u"),
            ("request.real", "1"),
            ("request.small", "request.real"),
            ("request.single", "request.real"),
        ] {
            let with = format!("{{ flag: \"{a} {operator} {b}\" }}");
            let fault = taken(&with, r#"{"real":"NaN","single":"NaN"}"#).unwrap_err();
            let what = "NaN is neither smaller nor greater than a number";
            assert_eq!((fault.kind, fault.what.as_str()), (ErrorKind::Arithmetic, what), "{with}");
        }
    }
    let unequal = "{ flag: request.real != request.real }";
    assert_eq!(taken(unequal, r#"{"real":"NaN"}"#).unwrap(), r#"{"flag":true}"#);
}

#[test]
fn a_missing_key_or_item_is_a_fault() {
    for (with, what) in [
        ("{ big: request.counts.x }", "no key `x`"),
        ("{ big: request.counts.x + 1 }", "no key `x`"),
        ("{ big: \"request.counts['x']\" }", "no key `x`"),
        ("{ small: \"request.numbers[0]\" }", "the index is out of range"),
        ("{ text: request.object.a.b }", "no key `a`"),
    ] {
        let fault = taken(with, "{}").unwrap_err();
        assert_eq!((fault.kind, fault.what.as_str()), (ErrorKind::MissingKey, what), "{with}");
    }
    let guarded = "{ flag: \"has(request.counts.x) && request.counts.x > 1\" }";
    assert_eq!(taken(guarded, "{}").unwrap(), "{}");
    assert_eq!(taken(guarded, r#"{"counts":{"x":"2"}}"#).unwrap(), r#"{"flag":true}"#);
}

#[test]
fn json_numbers_become_whole_numbers_where_they_are_whole() {
    assert_eq!(
        taken(
            "{ small: request.any, text: request.object.name }",
            r#"{"any":5,"object":{"name":"x"}}"#
        )
        .unwrap(),
        r#"{"small":5,"text":"x"}"#
    );
    let fault = taken("{ small: request.any }", r#"{"any":5.5}"#).unwrap_err();
    assert_eq!(
        (fault.kind, fault.what.as_str()),
        (ErrorKind::Arithmetic, "5.5 does not fit into int32")
    );
    let fault = taken("{ small: request.any }", r#"{"any":"five"}"#).unwrap_err();
    assert_eq!((fault.kind, fault.what.as_str()), (ErrorKind::Conversion, "`five` is no int32"));
}

#[test]
fn recorded_bytes_that_are_no_message_are_a_fault() {
    let compiled = taking("{ text: request.text }");
    let facts = compiled.facts(Identity::default(), &[0xff, 0xff]);
    let fault = compiled.prepare_call(StepId(0), &facts).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Bytes);
}

#[test]
fn unknown_fields_of_a_newer_participant_pass_through_a_copied_message() {
    let mut input = Vec::new();
    prost::encoding::bytes::encode(12, &vec![0x18_u8, 0x07], &mut input);
    for form in ["request.money", "[request.money].map(m, m)[0]", "true ? request.money : null"] {
        let compiled = taking(&format!("{{ money: \"{form}\" }}"));
        let facts = compiled.facts(Identity::default(), &input);
        let built = request(compiled.prepare_call(StepId(0), &facts).unwrap());
        assert_eq!(built, input, "{form}");
    }
}

#[test]
fn a_saga_of_plain_json_reads_it_as_it_comes() {
    let compiled = compile(
        "saga: t\nversion: 1\nsteps:\n  - step: take\n    call: shop.v1.Everything/Take\n    \
         with: { text: request.name, small: request.deep.count, texts: request.tags }\n",
    );
    assert_eq!(compiled.input(), &Input::Json);
    let input =
        compiled.request_from_json(r#"{"name":"x","deep":{"count":3},"tags":["a"]}"#).unwrap();
    let facts = compiled.facts(Identity::default(), &input);
    let built = request(compiled.prepare_call(StepId(0), &facts).unwrap());
    assert_eq!(json_of("shop.v1.All", &built), r#"{"small":3,"text":"x","texts":["a"]}"#);
    assert!(compiled.request_from_json("[1]").is_err());
    assert!(compiled.request_from_json("{} {}").is_err());
    assert_eq!(compiled.request_from_json("").unwrap(), Bytes::new());
}

#[test]
fn json_of_a_typed_input_is_checked_against_its_type() {
    let compiled = compile(PLACE);
    let bytes = compiled.request_from_json(r#"{"user_id":"ann"}"#).unwrap();
    assert_eq!(bytes, bytes_of("shop.v1.PlaceRequest", r#"{"userId":"ann"}"#));
    let fault = compiled.request_from_json(r#"{"user":"ann"}"#).unwrap_err();
    assert_eq!(fault.to_string(), "no field `user` in shop.v1.PlaceRequest");
}

#[test]
fn a_key_must_not_be_empty() {
    let compiled =
        compile(&PLACE.replace("request.user_id + '/' + request.token", "request.token"));
    assert_eq!(compiled.key(&[]).unwrap_err().what, "the key is empty");
}

#[test]
fn a_definition_compiles_again_from_what_is_stored_beside_it() {
    let compiled = compile(PLACE);
    let stored = Descriptors::decode(compiled.descriptors()).unwrap();
    let again = Draft::parse("t.yaml", compiled.source()).unwrap().compile(&stored).unwrap();
    assert_eq!(again.hash(), compiled.hash());
    assert_eq!(again.descriptors(), compiled.descriptors());
    assert_eq!(compiled.hash().len(), 64);
    assert!(stored.message("shop.v1.Money").is_ok());
    assert!(Descriptors::decode(&[0xff]).is_err());
}

#[test]
fn a_definition_can_be_shared_between_threads_and_facts_be_handed_to_one() {
    fn shared<T: Send + Sync>() {}
    fn handed_over<T: Send>() {}
    handed_over::<Facts<'static>>();
    shared::<Compiled>();
}
