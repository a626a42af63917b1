//! One way to break the sound definition, and what is said about it; at least one for each rule.

/// What is replaced, by what, and the problems that it makes.
pub(crate) type Case = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    // Names.
    ("quote.lines", "quote.linse", &[
        "t.yaml:11:45: no field `linse` in shop.v1.QuoteResponse; did you mean `lines`?",
    ]),
    ("Stock/Quote", "Stock/Qoute", &[
        "t.yaml:7:25: no method `Qoute` in shop.v1.Stock; did you mean `Quote`?",
    ]),
    ("shop.v1.Stock/Freeze", "shop.v1.Stok/Freeze", &[
        "t.yaml:10:11: no service `shop.v1.Stok`; did you mean `shop.v1.Stock`?",
    ]),
    ("shop.v1.Stock/Freeze", "other.v1.Ledger/Book", &[
        "t.yaml:10:11: no service `other.v1.Ledger`; name its address, or its .proto under `descriptors:`",
    ]),
    ("serves: shop.v1.Checkout/Place", "serves: shop.v1.Checkout/Plaec", &[
        "t.yaml:3:26: no method `Plaec` in shop.v1.Checkout; did you mean `Place`?",
    ]),
    ("Stock/Quote", "Stock/Watch", &[
        "t.yaml:7:11: shop.v1.Stock/Watch is a streaming method; name a unary method; a step is one request and one response",
    ]),
    ("Stock/Quote", "Stock", &[
        "t.yaml:7:11: `shop.v1.Stock` is no method; write `package.Service/Method`",
    ]),
    ("priority: 5", "prority: 5", &[
        "t.yaml:11:52: no field `prority` in shop.v1.FreezeRequest; did you mean `priority`?",
    ]),
    ("quote.total.minor_units >", "qoute.total.minor_units >", &[
        "t.yaml:15:11: nothing is called `qoute` here; did you mean `quote`?",
    ]),
    ("saga.id", "saga.idd", &[
        "t.yaml:11:28: no field `idd` in `saga`; did you mean `id`?",
    ]),
    ("saga.id", "saga", &[
        "t.yaml:11:23: `saga` is not a value; use saga.id, saga.name, saga.version, saga.key or saga.reason",
    ]),
    ("\"'STATE_PAID'\"", "PAID", &[
        "t.yaml:21:10: nothing is called `PAID` here; a text is written in quotes of its own: \"'PAID'\"",
    ]),
    ("'STATE_PAID'", "'STATE_PADI'", &[
        "t.yaml:21:11: no value `STATE_PADI` in shop.v1.State; did you mean `STATE_PAID`?",
    ]),
    ("\"'STATE_PAID'\"", "shop.v1.State.STATE_PADI", &[
        "t.yaml:21:24: no value `STATE_PADI` in shop.v1.State; did you mean `STATE_PAID`?",
    ]),
    ("quote.total.minor_units > request.points", "quote.state == 'STATE_PAIDD'", &[
        "t.yaml:15:26: no value `STATE_PAIDD` in shop.v1.State; did you mean `STATE_PAID`?",
    ]),
    ("l.sku)", "l.skuu)", &[
        "t.yaml:23:32: no field `skuu` in shop.v1.Line; did you mean `sku`?",
    ]),
    ("quote.total.minor_units > request.points", "has(quote.totl)", &[
        "t.yaml:15:14: no field `totl` in shop.v1.QuoteResponse; did you mean `total`?",
    ]),
    ("quote.total.minor_units > request.points", "foo(quote.state)", &[
        "t.yaml:15:14: no function `foo`; there is `size`, `bool`, `int`, `uint`, `double`, `string`, `bytes`, `dyn`, `has`",
    ]),
    ("quote.total.minor_units > request.points", "request.user_id.startWith('a')", &[
        "t.yaml:15:36: no function `startWith`; did you mean `startsWith`?",
    ]),
    ("step: charge", "step: saga", &[
        "t.yaml:14:11: `saga` means something else in expressions; give the step another name",
        "t.yaml:22:10: nothing is called `charge` here; a text is written in quotes of its own: \"'charge'\"",
    ]),
    // Types.
    ("priority: 5", "priority: 5.5", &[
        "t.yaml:11:62: `priority` wants int, got double; convert it: int(…)",
    ]),
    ("priority: 5", "priority: \"'high'\"", &[
        "t.yaml:11:63: `priority` wants int, got string; convert it: int(…)",
    ]),
    ("priority: 5", "priority: [5]", &[
        "t.yaml:11:62: `priority` wants int, got a list; give it an expression of that type",
    ]),
    ("order_no: saga.id", "order_no: quote.total", &[
        "t.yaml:11:23: `order_no` wants string, got shop.v1.Money; give it a value of type string",
    ]),
    ("lines: quote.lines", "lines: request.user_id", &[
        "t.yaml:11:39: `lines` wants list(shop.v1.Line), got string; give it a value of type list(shop.v1.Line)",
    ]),
    ("request.lines.map(l, l.sku)", "request.lines", &[
        "t.yaml:23:9: `skus` wants list(string), got list(shop.v1.Line); give it a value of type list(string)",
    ]),
    ("request.lines.map(l, l.sku)", "request.lines.sku", &[
        "t.yaml:23:23: `sku` is asked of a list; index it, `[0]`, or go through it with map(…), filter(…), exists(…)",
    ]),
    ("request.lines.map(l, l.sku)", "request.lines.map(l, l.quantity)", &[
        "t.yaml:23:9: `skus` wants list(string), got list(uint); give it a value of type list(string)",
    ]),
    ("request.lines.map(l, l.sku)", "request.points.map(l, l)", &[
        "t.yaml:23:27: int has no items to go through; use a list or a map",
    ]),
    ("amount: quote.total", "amount: { currency: \"'EUR'\", minor_unit: 5 }", &[
        "t.yaml:17:68: no field `minor_unit` in shop.v1.Money; did you mean `minor_units`?",
    ]),
    ("amount: quote.total", "amount: \"{'currency': 5}\"", &[
        "t.yaml:17:48: `currency` wants string, got int; convert it: string(…)",
    ]),
    ("amount: quote.total", "amount: \"{'curency': 'EUR'}\"", &[
        "t.yaml:17:48: no field `curency` in shop.v1.Money; did you mean `currency`?",
    ]),
    ("amount: quote.total", "amount: quote.lines[0]", &[
        "t.yaml:17:58: this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'; mend the indentation, or put an expression with brackets or `: ` in quotes",
    ]),
    ("lines: quote.lines", "lines: \"[{'sku': 'a', 'quantity': 'two'}]\"", &[
        "t.yaml:11:40: `quantity` wants uint, got string; convert it: uint(…)",
    ]),
    ("request.user_id + '/'", "request.points + '/'", &[
        "t.yaml:4:21: no `+` for (int, string); convert one side: string(…), int(…)",
    ]),
    ("request.user_id + '/' + request.token", "size(request.user_id)", &[
        "t.yaml:4:6: `key` wants string, got int; convert it: string(…)",
    ]),
    ("> request.points", "> 'a'", &[
        "t.yaml:15:35: no `>` for (int, string); convert one side: string(…), int(…)",
    ]),
    (" > request.points", "", &[
        "t.yaml:15:11: `when` wants bool, got int; compare it with something, such as `… > 0`",
    ]),
    ("quote.total.minor_units > request.points", "quote.rate + 1 > 2.0", &[
        "t.yaml:15:22: no `+` for (double, int); convert one side: double(…) or int(…)",
    ]),
    ("quote.total.minor_units > request.points", "quote.total == request.address", &[
        "t.yaml:15:23: no `==` for (shop.v1.Money, shop.v1.Address); give it values of the same kind",
    ]),
    ("quote.total.minor_units > request.points", "\"true ? 1 : 'a'\"", &[
        "t.yaml:15:17: the two sides of `:` differ: int and string; give both sides the same type",
    ]),
    ("quote.total.minor_units > request.points", "1", &[
        "t.yaml:15:11: `when` wants bool, got int; compare it with something, such as `… > 0`",
    ]),
    ("quote.total.minor_units > request.points", "quote.total.minor_units && true", &[
        "t.yaml:15:35: no `&&` for (int, bool); give it values of the same kind",
    ]),
    ("quote.total.minor_units > request.points", "quote.state == 'x' + 'y'", &[
        "t.yaml:15:23: no `==` for (enum shop.v1.State, string); convert one side: string(…), int(…)",
    ]),
    ("quote.total.minor_units > request.points", "request.lines[0].price == null", &[
        "t.yaml:15:34: no `==` for (shop.v1.Money, null); nothing is null here; ask with `has(…)`",
    ]),
    ("state: \"'STATE_PAID'\"", "state: int(quote.rate) == 2", &[
        "t.yaml:21:10: `state` wants shop.v1.State, got bool; give it a value of type shop.v1.State",
    ]),
    ("with: { lines: request.lines }", "with: request", &[
        "t.yaml:8:11: this wants shop.v1.QuoteRequest, got shop.v1.PlaceRequest; name its fields: `lines`",
    ]),
    ("with: { lines: request.lines }", "with: [1]", &[
        "t.yaml:8:11: shop.v1.QuoteRequest is built from a list; write `{ field: expression }`",
    ]),
    ("skus: request.lines.map(l, l.sku)", "skus: \"[null]\"", &[
        "t.yaml:23:10: `skus` wants list(string), got list(null); give it a value of type list(string)",
    ]),
    ("skus: request.lines.map(l, l.sku)", "skus: \"['a'] + [1]\"", &[
        "t.yaml:23:16: no `+` for (list(string), list(int)); give it values of the same kind",
    ]),
    ("skus: request.lines.map(l, l.sku)", "skus: \"['a', 1]\"", &[
        "t.yaml:23:10: `skus` wants list(string), got list(mixed); give it a value of type list(string)",
    ]),
    ("quote.lines", "int(quote.lines)", &[
        "t.yaml:11:42: no `int` for (list(shop.v1.Line)); give it values of the same kind",
    ]),
    // What an expression may see.
    ("reason: saga.reason,", "reason: freeze.freeze_no,", &[
        "t.yaml:13:26: the response of `freeze` may never have come when it is undone; use it under `when_known`, beside a `when_unknown`; or leave it out, where the participant finds what to undo by the saga id and the step in the metadata",
    ]),
    ("reason: saga.reason,", "reason: charge.payment_no,", &[
        "t.yaml:13:26: `charge` may not be done before `freeze`; `charge` comes after `freeze`; turn them round",
    ]),
    ("lines: request.lines", "lines: freeze.freeze_no", &[
        "t.yaml:8:20: `freeze` may not be done before `quote`; `freeze` comes after `quote`; turn them round",
    ]),
    ("order_no: saga.id", "order_no: freeze.freeze_no", &[
        "t.yaml:11:23: `freeze` cannot use its own response; use the response of a step before it",
    ]),
    ("request.user_id + '/' + request.token", "saga.id", &[
        "t.yaml:4:6: there is no saga before its key; use `request`",
    ]),
    ("request.user_id + '/' + request.token", "quote.total.currency", &[
        "t.yaml:4:6: no step, so not `quote` either, has run when the key is made; use `request`",
    ]),
    ("  - step: charge\n", "  - step: charge\n    after: [quote]\n", &[
        "t.yaml:9:11: `freeze` may fail when the pivot `charge` is passed already; order them: add `freeze` to the `after` of `charge`, or `charge` to that of `freeze`",
    ]),
    // The order of the steps.
    ("  - step: charge\n", "  - step: charge\n    after: [quotes]\n", &[
        "t.yaml:15:13: `charge` comes after `quotes`, which is no step; did you mean `quote`?",
    ]),
    ("  - step: quote\n", "  - step: quote\n    after: [charge]\n", &[
        "t.yaml:7:13: `quote`, `freeze`, `charge` wait for each other; remove one of them from an `after`",
    ]),
    ("  - step: quote\n", "  - step: quote\n    after: [quote]\n", &[
        "t.yaml:7:13: `quote` waits for itself; remove one of them from an `after`",
    ]),
    ("step: charge", "step: freeze", &[
        "t.yaml:14:11: there are two steps `freeze`; give one of them another name",
        "t.yaml:22:10: nothing is called `charge` here; a text is written in quotes of its own: \"'charge'\"",
    ]),
    ("step: charge", "step: Charge-it", &[
        "t.yaml:14:11: `Charge-it` is no name for a step; write small letters, digits and underscores, a letter first",
        "t.yaml:22:10: nothing is called `charge` here; a text is written in quotes of its own: \"'charge'\"",
    ]),
    ("    undo: shop", "    pivot: true\n    undo: shop", &[
        "t.yaml:19:5: `charge` is a second pivot beside `freeze`; there is one point of no return: keep one",
    ]),
    ("  - step: freeze\n    call", "  - step: freeze\n    after: [charge]\n    call", &[
        "t.yaml:10:13: `freeze`, `charge` wait for each other; remove one of them from an `after`",
        "t.yaml:12:39: `quote` may not be done before `freeze`; add `quote` to the `after` of `freeze`",
        "t.yaml:16:11: `quote` may not be done before `charge`; add `quote` to the `after` of `charge`",
        "t.yaml:18:47: `quote` may not be done before `charge`; add `quote` to the `after` of `charge`",
    ]),
    ("reply:\n", "  - step: ship\n    call: shop.v1.Stock/Freeze\n    undo: shop.v1.Stock/Unfreeze\nreply:\n", &[
        "t.yaml:21:11: `ship` has an undo behind the pivot `charge`; remove the undo: behind the pivot a step is tried until it succeeds",
    ]),
    ("    pivot: true", "    retry: { base: 20s }", &[
        "t.yaml:18:5: `retry`: base, 20s, is above cap, 10s; set `base` and `cap`, base the smaller",
    ]),
    ("    undo_with", "    undo_retry: { cap: 1ms }\n    undo_with", &[
        "t.yaml:13:5: `undo_retry`: base, 100ms, is above cap, 1ms; set `base` and `cap`, base the smaller",
    ]),
    // The shape of the file.
    ("saga: place", "saga: Place", &[
        "t.yaml:1:7: `Place` is no name for a saga; write small letters, digits and dashes, at most 64, a letter first",
    ]),
    ("saga: place\n", "", &[
        "t.yaml:1:1: the saga has no name; add `saga: the-name`",
    ]),
    ("version: 1", "version: 0", &[
        "t.yaml:2:10: `0` is no version; write a whole number from 1 to 4294967295",
    ]),
    ("version: 1\n", "", &[
        "t.yaml:1:1: the saga has no version; add `version: 1`",
    ]),
    ("version: 1", "version: 4294967296", &[
        "t.yaml:2:10: `4294967296` is no version; write a whole number from 1 to 4294967295",
    ]),
    ("serves: shop.v1.Checkout/Place\n", "", &[
        "t.yaml:3:1: `key` without `serves`; remove it; whoever starts the saga gives the key",
        "t.yaml:18:1: `reply` without `serves`; remove it, or add `serves: pkg.Service/Method`",
    ]),
    ("key: request.user_id + '/' + request.token\n", "", &[
        "t.yaml:3:9: a saga that serves a method needs a `key`; add `key: …`, the expression that tells two requests apart",
    ]),
    ("key: ", "input: shop.v1.PlaceRequest\nkey: ", &[
        "t.yaml:4:1: `input` beside `serves`; remove it; the input is the request of the served method",
    ]),
    ("key: ", "deadline: 1y\nkey: ", &[
        "t.yaml:4:11: `deadline`: `1y` is not a duration; write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d",
    ]),
    ("key: ", "deadline: 0s\nkey: ", &[
        "t.yaml:4:11: `deadline`: a duration of nothing; write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d",
    ]),
    ("key: ", "timeout: 5s\nkey: ", &[
        "t.yaml:4:1: the definition has no key `timeout`; there is `saga`, `version`, `serves`, `input`, `key`, `deadline`, `descriptors`, `answers`, `steps`, `reply`, `output`, `participants`, `max_request`, `import_roots`",
    ]),
    ("  - step: charge\n    when", "  - when", &[
        "t.yaml:14:5: a step has no name; begin it with `step: the_name`",
        "t.yaml:21:10: nothing is called `charge` here; a text is written in quotes of its own: \"'charge'\"",
    ]),
    ("call: shop.v1.Stock/Quote\n", "timeout: 5s\n", &[
        "t.yaml:6:11: step `quote` calls nothing; add `call: package.Service/Method`",
    ]),
    ("    pivot: true", "    pivto: true", &[
        "t.yaml:18:5: a step has no key `pivto`; did you mean `pivot`?",
    ]),
    ("    pivot: true", "    pivot: maybe", &[
        "t.yaml:18:12: `pivot` is a text, not a boolean; write true or false",
    ]),
    ("    pivot: true", "    timeout: 5x", &[
        "t.yaml:18:14: `timeout`: `5x` is not a duration; write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d",
    ]),
    ("    pivot: true", "    timeout:", &[
        "t.yaml:18:5: `timeout` is empty; give it a value or remove it",
    ]),
    ("    pivot: true", "    after: quote", &[
        "t.yaml:18:12: `after` is a text, not a list; write `after: [quote]`",
    ]),
    ("    pivot: true", "    after: [[quote]]", &[
        "t.yaml:18:13: an item of `after` is a list, not a text; write one name per item",
    ]),
    ("    pivot: true", "    retry: { attempts: 0, base: 0s }", &[
        "t.yaml:18:24: `attempts` is `0`; write a whole number from 1, or `unlimited`",
        "t.yaml:18:33: `base`: a duration of nothing; write a whole number and a unit: 500ms, 30s, 2m, 1h or 1d",
    ]),
    ("    pivot: true", "    retry: { attempts: many, cup: 1s }", &[
        "t.yaml:18:24: `attempts` is `many`; write a whole number from 1, or `unlimited`",
        "t.yaml:18:30: `retry` has no key `cup`; did you mean `cap`?",
    ]),
    ("    pivot: true", "    max_request: 4MB", &[
        "t.yaml:18:18: `max_request`: `4MB` is not a size; write a whole number and a unit: 65536B, 512KiB, 4MiB or 1GiB",
    ]),
    ("    pivot: true", "    max_request: 0", &[
        "t.yaml:18:18: `max_request`: a size of nothing; write a whole number and a unit: 65536B, 512KiB, 4MiB or 1GiB",
    ]),
    ("    pivot: true", "    retry: 5", &[
        "t.yaml:18:12: `retry` is a number, not a mapping; write `attempts: …`",
    ]),
    ("    pivot: true", "    answers: { ALREADY_EXIST: done, NOT_FOUND: fine, OK: done }", &[
        "t.yaml:18:16: `ALREADY_EXIST` is neither a gRPC status nor a reason; did you mean `ALREADY_EXISTS`?",
        "t.yaml:18:48: `fine` is no way to take an answer; there is `done`, `declined`, `unknown`, `attention`",
        "t.yaml:18:54: OK cannot be overridden; remove it; an OK is judged by the `result` field of the response, or by `declined_if: …`",
    ]),
    ("    pivot: true", "    undo_with: {}", &[
        "t.yaml:18:5: `undo_with` without `undo`; add `undo: package.Service/Method`, or remove it",
    ]),
    ("    pivot: true", "    undo_retry: { attempts: 1 }", &[
        "t.yaml:18:5: `undo_retry` without `undo`; add `undo: package.Service/Method`, or remove it",
    ]),
    ("    pivot: true", "    pivot: true\n    pivot: true", &[
        "t.yaml:19:5: `pivot` is given twice; keep one of them",
    ]),
    ("saga.id", "saga.id +", &[
        "t.yaml:11:31: this is no expression: mismatched input '<EOF>'; mend it; a text is written in quotes of its own: \"'text'\"",
    ]),
    ("quote.lines", "quote.lines.filter(l, has(l.note))", &[
        "t.yaml:11:58: this is no expression: missing ')' at '<EOF>'; close the bracket; inside { } and [ ] YAML ends a value at a comma, so put it in quotes",
        "t.yaml:11:61: no field `has(l.note))` in shop.v1.FreezeRequest; there is `order_no`, `lines`, `priority`",
    ]),
    ("quote.total.minor_units > request.points", "true ? 1 : 'a'", &[
        "t.yaml:15:20: this is not YAML: mapping values are not allowed in this context; mend the indentation, or put an expression with brackets or `: ` in quotes",
    ]),
];
