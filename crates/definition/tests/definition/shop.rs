//! A small shop whose descriptors the definition tests are written against.

use std::sync::LazyLock;

use definition::{Compiled, Descriptors, Draft};

pub(crate) const PROTO: &str = r#"
syntax = "proto3";
package shop.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

service Checkout { rpc Place(PlaceRequest) returns (PlaceResponse); }
service Stock {
  rpc Quote(QuoteRequest) returns (QuoteResponse);
  rpc Freeze(FreezeRequest) returns (FreezeResponse);
  rpc Unfreeze(UnfreezeRequest) returns (Empty);
  rpc Watch(Empty) returns (stream Empty);
}
service Bank {
  rpc Charge(ChargeRequest) returns (ChargeResponse);
  rpc Refund(RefundRequest) returns (Empty);
}
service Everything { rpc Take(All) returns (All); }

message Empty {}
message Line { string sku = 1; uint32 quantity = 2; optional string note = 3; Money price = 4; }
message Money { string currency = 1; int64 minor_units = 2; }
enum State { STATE_UNSPECIFIED = 0; STATE_OPEN = 1; STATE_PAID = 2; }
enum Mood { MOOD_UNSPECIFIED = 0; MOOD_GLAD = 1; }

message PlaceRequest {
  string user_id = 1;
  string token = 2;
  repeated Line lines = 3;
  int64 points = 4;
  Address address = 5;
  map<string, string> labels = 6;
  google.protobuf.Struct extra = 7;
}
message Address { string street = 1; optional string door = 2; }
message PlaceResponse { string order_no = 1; State state = 2; Money total = 3; repeated string skus = 4; }
message QuoteRequest { repeated Line lines = 1; }
message QuoteResponse { repeated Line lines = 1; Money total = 2; State state = 3; double rate = 4; }
message FreezeRequest { string order_no = 1; repeated Line lines = 2; int32 priority = 3; }
message FreezeResponse { string freeze_no = 1; }
message UnfreezeRequest { string reason = 1; string code = 2; }
message ChargeRequest { string user_id = 1; Money amount = 2; int64 points = 3; }
message ChargeResponse { string payment_no = 1; Money paid = 2; }
message RefundRequest { string reason = 1; }

message All {
  bool flag = 1;
  int32 small = 2;
  int64 big = 3;
  uint32 usmall = 4;
  uint64 ubig = 5;
  float single = 6;
  double real = 7;
  string text = 8;
  bytes raw = 9;
  State state = 10;
  Mood mood = 11;
  Money money = 12;
  repeated int32 numbers = 13;
  repeated Line lines = 14;
  map<string, int64> counts = 15;
  map<int32, Money> prices = 16;
  optional int64 maybe = 17;
  oneof choice { string left = 18; int64 right = 19; }
  google.protobuf.Timestamp at = 20;
  google.protobuf.Duration span = 21;
  google.protobuf.StringValue wrapped = 22;
  google.protobuf.Int64Value counted = 23;
  google.protobuf.Struct object = 24;
  google.protobuf.Value any = 25;
  repeated string texts = 26;
  repeated State states = 27;
  google.protobuf.FieldMask mask = 28;
  google.protobuf.DoubleValue doubled = 29;
  google.protobuf.BytesValue blob = 30;
  google.protobuf.ListValue list = 31;
  map<bool, string> switches = 32;
  google.protobuf.NullValue nothing = 33;
  google.protobuf.Any packed = 34;
  optional string note = 35;
  optional State mark = 36;
  optional bytes seal = 37;
}
"#;

static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.proto");
    std::fs::write(&path, PROTO).unwrap();
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&path, &[]).unwrap();
    descriptors
});

pub(crate) fn descriptors() -> Descriptors {
    DESCRIPTORS.clone()
}

/// The problems of a definition, one line each.
pub(crate) fn problems(source: &str) -> Vec<String> {
    let found = match Draft::parse("t.yaml", source) {
        Ok(draft) => draft.compile(&descriptors()).err().unwrap_or_default(),
        Err(problems) => problems,
    };
    found.iter().map(ToString::to_string).collect()
}

pub(crate) fn compile(source: &str) -> Compiled {
    let draft = Draft::parse("t.yaml", source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    draft.compile(&descriptors()).unwrap_or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    })
}

/// A sound definition whose parts a test breaks.
pub(crate) const PLACE: &str = r#"saga: place
version: 1
serves: shop.v1.Checkout/Place
key: request.user_id + '/' + request.token
steps:
  - step: quote
    call: shop.v1.Stock/Quote
    with: { lines: request.lines }
  - step: freeze
    call: shop.v1.Stock/Freeze
    with: { order_no: saga.id, lines: quote.lines, priority: 5 }
    undo: shop.v1.Stock/Unfreeze
    undo_with: { reason: saga.reason, code: saga.reason_code }
  - step: charge
    when: quote.total.minor_units > request.points
    call: shop.v1.Bank/Charge
    with: { user_id: request.user_id, amount: quote.total, points: request.points }
    pivot: true
reply:
  order_no: freeze.freeze_no
  state: "'STATE_PAID'"
  total: charge.paid
  skus: request.lines.map(l, l.sku)
"#;
