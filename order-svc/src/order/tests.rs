use super::*;

/// The legal actions, written down a second time; every pair that is not here must be refused.
const LEGAL: [(&str, OrderAction, &str); 10] = [
    ("Created", OrderAction::MarkPaid, "Paid"),
    ("Created", OrderAction::UndoPlacing, "Cancelled"),
    ("Paid", OrderAction::Ship, "Shipped"),
    ("Shipped", OrderAction::Complete, "Completed"),
    ("Paid", OrderAction::BeginCancel, "Cancelling { shipped: false }"),
    ("Shipped", OrderAction::BeginCancel, "Cancelling { shipped: true }"),
    ("Cancelling { shipped: false }", OrderAction::AbandonCancel, "Paid"),
    ("Cancelling { shipped: true }", OrderAction::AbandonCancel, "Shipped"),
    ("Cancelling { shipped: false }", OrderAction::FinishCancel, "Refunded"),
    ("Cancelling { shipped: true }", OrderAction::FinishCancel, "Returned"),
];

fn euros(minor_units: i64) -> Money {
    Money::new("EUR".parse().unwrap(), minor_units)
}

fn order(state: State) -> Order {
    Order {
        order_no: "O-1".to_owned(),
        user_id: "ada".to_owned(),
        state,
        total: euros(1_000),
        points: 100,
        paid: None,
        saga_id: "s1".to_owned(),
        submit_token: None,
        cancelled_by: None,
        created_at: Timestamp(1),
    }
}

#[test]
fn every_pair_of_state_and_move_leads_where_the_table_says_or_nowhere() {
    let mut legal = 0;
    for state in State::ALL {
        for step in OrderAction::ALL {
            let from = format!("{state:?}");
            let told = LEGAL.iter().find(|(told, by, _)| *told == from && *by == step);
            let reached = state.after(step).map(|to| format!("{to:?}"));
            assert_eq!(reached.as_deref(), told.map(|(_, _, to)| *to), "{state:?} {step:?}");
            legal += usize::from(reached.is_some());
        }
    }
    assert_eq!(legal, LEGAL.len(), "no row of the table is left over");
}

#[test]
fn a_refusal_says_where_the_order_stands_what_was_wanted_and_what_would_allow_it() {
    for state in State::ALL {
        for step in OrderAction::ALL {
            match order(state).after(step) {
                Ok(after) => assert_eq!(Some(after.state), state.after(step)),
                Err(refusal) => {
                    let sentence = refusal.to_string();
                    assert!(sentence.contains(&format!("is {} and", state.as_str())), "{sentence}");
                    assert!(sentence.contains(step.description()), "{sentence}");
                }
            }
        }
    }
    let refusal = order(State::Completed).after(OrderAction::BeginCancel).unwrap_err().to_string();
    let sentence =
        "the order O-1 is COMPLETED and cannot be cancelled: only one that is PAID or SHIPPED can";
    assert_eq!(refusal, sentence);
    let refusal = order(State::Paid).after(OrderAction::FinishCancel).unwrap_err().to_string();
    assert!(refusal.ends_with("only one that is CANCELLING can"), "{refusal}");
}

#[test]
fn every_state_is_read_back_from_its_columns() {
    for state in State::ALL {
        assert_eq!(State::read(state.as_str(), state.shipped()), Some(state));
    }
    assert_eq!(State::read("PAID", true), None);
    assert_eq!(State::read("LOST", false), None);
}

#[test]
fn an_order_is_paid_with_exactly_what_is_due() {
    let created = order(State::Created);
    let paid = created.after_payment(euros(900)).unwrap();
    assert_eq!((paid.state, paid.paid), (State::Paid, Some(euros(900))));
    let dollars = Money::new("USD".parse().unwrap(), 900);
    for wrong in [euros(899), euros(901), euros(1_000), dollars] {
        let refusal = created.after_payment(wrong).unwrap_err();
        assert!(matches!(refusal, Refusal::Amount { .. }), "{refusal}");
    }
    let twice = paid.after_payment(euros(900)).unwrap_err();
    assert!(matches!(twice, Refusal::State { state: State::Paid, .. }));
}

fn begun(order: &Order, key: &str) -> Order {
    match order.cancel(false, key.to_owned()) {
        Ok(Cancel::Begun(order)) => order,
        other => panic!("not begun: {other:?}"),
    }
}

#[test]
fn a_cancel_is_known_by_its_key_until_it_is_abandoned() {
    let paid = order(State::Created).after_payment(euros(900)).unwrap();
    let cancelling = begun(&paid, "saga/s2/begin/forward");
    assert_eq!(cancelling.cancelled_by.as_deref(), Some("saga/s2/begin/forward"));
    assert_eq!(cancelling.after(OrderAction::AbandonCancel).unwrap(), paid);
    let refunded = cancelling.after(OrderAction::FinishCancel).unwrap();
    assert_eq!((refunded.state, refunded.paid), (State::Refunded, Some(euros(900))));
    assert_eq!(refunded.cancelled_by, cancelling.cancelled_by);
    assert!(cancelling.cancel(false, "another".to_owned()).is_err());
}

#[test]
fn a_wish_to_cancel_comes_to_what_the_state_says() {
    for state in State::ALL {
        for was_placing in [false, true] {
            let told = match order(state).cancel(was_placing, "key".to_owned()) {
                Ok(Cancel::StillPlacing) => "ask again",
                Ok(Cancel::AlreadyUndone) => "undone",
                Ok(Cancel::Begun(_)) => "begun",
                Err(_) => "refused",
            };
            let expected = match (state, was_placing) {
                (State::Created, _) => "ask again",
                (State::Cancelled, true) => "undone",
                (State::Paid | State::Shipped, _) => "begun",
                _ => "refused",
            };
            assert_eq!(told, expected, "{state:?}, was placing: {was_placing}");
        }
    }
}

#[test]
fn what_is_given_back_is_what_was_taken() {
    let created = order(State::Created);
    assert_eq!(created.amount_taken(), (euros(0), 0));
    assert_eq!(created.after(OrderAction::UndoPlacing).unwrap().amount_taken(), (euros(0), 0));
    let paid = created.after_payment(euros(900)).unwrap();
    assert_eq!(begun(&paid, "key").amount_taken(), (euros(900), 100));
    let by_points = Order { points: 1_000, ..created };
    assert_eq!(by_points.after_payment(euros(0)).unwrap().amount_taken(), (euros(0), 1_000));
}
