//! What is wrong with a definition is said with its line, its column and a cure, all at once.

mod definition_support;

use definition_support::{PLACE, compile, problems};

/// The sound definition with one text replaced, which must occur.
fn broken(from: &str, to: &str) -> Vec<String> {
    assert!(PLACE.contains(from), "{from}");
    problems(&PLACE.replacen(from, to, 1))
}

#[test]
fn the_sound_definition_has_no_problems() {
    assert_eq!(problems(PLACE), [""; 0]);
    assert_eq!(compile(PLACE).name(), "place");
}

#[test]
fn dump() {
    for (from, to) in [
        ("quote.lines", "quote.linse"),
        ("Stock/Quote", "Stock/Qoute"),
        ("shop.v1.Stock/Freeze", "shop.v1.Stok/Freeze"),
        ("priority: 5", "priority: 5.5"),
        ("priority: 5", "prority: 5"),
        ("priority: 5", "priority: \"'high'\""),
        ("> request.points", "> 'a'"),
        ("> request.points", ""),
        ("quote.total.minor_units >", "qoute.total.minor_units >"),
        ("reason: saga.reason,", "reason: freeze.freeze_no,"),
        ("reason: saga.reason,", "reason: charge.payment_no,"),
        ("lines: request.lines", "lines: freeze.freeze_no"),
        ("'STATE_PAID'", "'STATE_PADI'"),
        ("\"'STATE_PAID'\"", "PAID"),
        ("l.sku)", "l.skuu)"),
        ("request.lines.map(l, l.sku)", "request.lines.sku"),
        ("request.lines.map(l, l.sku)", "request.lines"),
        ("request.user_id + '/'", "request.points + '/'"),
        ("saga.id", "saga.idd"),
        ("saga.id", "saga"),
        ("saga.id", "saga.id +"),
        ("key: request.user_id + '/' + request.token\n", ""),
        ("request.user_id + '/' + request.token", "size(request.user_id)"),
        ("amount: quote.total", "amount: {currency: \"'EUR'\", minor_unit: 5}"),
        ("amount: quote.total", "amount: \"{'currency': 5}\""),
        ("amount: quote.total", "amount: [1]"),
        ("version: 1", "version: 0"),
        ("saga: place", "saga: Place"),
        ("pivot: true", "pivot: maybe"),
        ("    pivot: true", "    timeout: 5x"),
        ("    pivot: true", "    retry: {attempts: 0, base: 0s}"),
        ("    pivot: true", "    answers: {ALREADY_EXIST: done, NOT_FOUND: fine}"),
        ("    pivot: true", "    undo_with: {}"),
        ("    pivot: true", "    pivto: true"),
        ("step: charge", "step: request"),
        ("Stock/Quote", "Stock/Watch"),
        ("Stock/Quote", "Stock"),
        ("call: shop.v1.Stock/Quote\n", "timeout: 5s\n"),
        ("quote.lines", "int(quote.lines)"),
        ("quote.lines", "shop.v1.Line{sku: 'a'}"),
        ("quote.lines", "quote.lines.filter(l, has(l.noote))"),
        ("quote.lines", "quote.lines.filter(l, l.quantity)"),
        ("quote.total.minor_units > request.points", "quote.state == 'STATE_PAIDD'"),
        ("quote.total.minor_units > request.points", "quote.state"),
        ("quote.total.minor_units > request.points", "quote.state == 'x' + 'y'"),
        ("quote.total.minor_units > request.points", "foo(quote.state)"),
        ("quote.total.minor_units > request.points", "quote.rate + 1 > 2.0"),
        ("quote.total.minor_units > request.points", "true ? 1 : 'a'"),
        ("quote.total.minor_units > request.points", "has(quote.totl)"),
    ] {
        println!("{to}:\n    {:#?}", broken(from, to));
    }
}
