//! What is wrong, one thing at a time.

use crate::world::{ORCHESTRATOR, ORDER, PAYMENT, POINTS, STOCK};

/// What is told, the file in which it is planted, and how.
pub(crate) const PLANTS: &[(&str, &str, &str)] = &[
    (
        "a saga has no journal: s-declined",
        ORCHESTRATOR,
        "delete from event where place in (select place from journal where saga_id = 's-declined')",
    ),
    (
        "a journal is of no saga: number 9",
        ORCHESTRATOR,
        "insert into event values (9 << 20, 1, x'0801', x'00')",
    ),
    (
        "a journal has a gap: s-paid",
        ORCHESTRATOR,
        "delete from event where place = (select place from journal where saga_id = 's-paid' and seq = 0)",
    ),
    (
        "a journal has a gap: s-paid",
        ORCHESTRATOR,
        "delete from event where place = (select place from journal where saga_id = 's-paid' and seq = 1)",
    ),
    (
        "a journal was cut off: s-paid",
        ORCHESTRATOR,
        "update saga set state = 'PAUSED' where id = 's-paid';
         delete from event where place = (select place from journal where saga_id = 's-paid' and seq = 2)",
    ),
    (
        "a saga has no key: s-paid",
        ORCHESTRATOR,
        "delete from saga_key where saga_id = 's-paid'",
    ),
    (
        "a key is of no saga, and does not tell how one ended: 0",
        ORCHESTRATOR,
        "update saga_key set ending = null where key = '0'",
    ),
    (
        "a saga stands in a state that is none: s-paid LOST",
        ORCHESTRATOR,
        "update saga set state = 'LOST' where id = 's-paid'",
    ),
    (
        "a saga has ended and its journal has not: s-paid",
        ORCHESTRATOR,
        "update event set record = x'0804' where place = (select place from journal where saga_id = 's-paid' and seq = 2)",
    ),
    (
        "a saga has ended and its journal has not: s-paid",
        ORCHESTRATOR,
        "update saga set state = 'COMPENSATED' where id = 's-paid'",
    ),
    (
        "a journal has ended and its saga has not: s-paid",
        ORCHESTRATOR,
        "update saga set state = 'RUNNING' where id = 's-paid'",
    ),
    (
        "a saga needs a person and does not say why: s-cancel",
        ORCHESTRATOR,
        "update saga set state = 'ATTENTION' where id = 's-cancel'",
    ),
    ("units were lost or made of a SKU: tea", STOCK, "update stock set available = 6"),
    (
        "the frozen units of a SKU are not those of its flows: tea",
        STOCK,
        "update stock set available = 6, frozen = 1",
    ),
    (
        "the frozen units of a SKU are not those of its reservations: tea",
        STOCK,
        "update stock set available = 6, frozen = 1",
    ),
    (
        "the sold units of a SKU are not those of its flows: tea",
        STOCK,
        "update stock set available = 8, sold = 2",
    ),
    (
        "a reservation is frozen for a saga that stands still: paid",
        STOCK,
        "update reservation set state = 'FROZEN' where order_no = 'paid'",
    ),
    (
        "a reservation is frozen and no saga is left that would settle it: nobodys",
        STOCK,
        "insert into reservation values ('nobodys', 'FROZEN', 0)",
    ),
    (
        "a balance of points is not the sum of its entries: ada",
        POINTS,
        "update member set balance = 91",
    ),
    (
        "a balance of points is not what its last entry left: ada",
        POINTS,
        "update member set balance = 91",
    ),
    (
        "more points were given back for an order than were taken: paid",
        POINTS,
        "insert into entry values (7, 'ada', 'REFUND', 17, 107, 'paid', 0)",
    ),
    (
        "a transaction does not sum to zero: gift",
        PAYMENT,
        "insert into movement values ('gift', 'ada', 1, 0)",
    ),
    (
        "a balance of money is not the sum of its movements: ada",
        PAYMENT,
        "update account set balance = 711 where id = 'ada'",
    ),
    (
        "the balances of a currency do not sum to zero: EUR",
        PAYMENT,
        "update account set balance = 711 where id = 'ada'",
    ),
    (
        "a wallet was not charged what its payment says: P-1",
        PAYMENT,
        "update payment set amount = 291 where payment_no = 'P-1'",
    ),
    (
        "a wallet was not given back what its payment says: P-3",
        PAYMENT,
        "update payment set refunded = 90 where payment_no = 'P-3'",
    ),
    (
        "a wallet was not given back what its payment says: P-3",
        PAYMENT,
        "insert into movement values ('refund/P-3/again', 'ada', 95, 0), ('refund/P-3/again', 'shop/EUR', -95, 0)",
    ),
    (
        "a payment that failed has moved money: P-2",
        PAYMENT,
        "insert into movement values ('charge/P-2', 'ada', -1, 0), ('charge/P-2', 'shop/EUR', 1, 0)",
    ),
    (
        "an order belongs to no saga: paid",
        ORDER,
        "update orders set saga_id = 's-unknown' where order_no = 'paid'",
    ),
    (
        "an order's total is not the sum of its lines: paid",
        ORDER,
        "drop trigger order_line_is_never_changed; update order_line set quantity = 4 where order_no = 'paid'",
    ),
    (
        "an order's state is not its last transition: paid",
        ORDER,
        "drop trigger transition_is_never_removed; delete from transition where seq = 2",
    ),
    (
        "an order's state is not its saga's: declined is PAID, its saga COMPENSATED",
        ORDER,
        "update orders set state = 'PAID' where order_no = 'declined'",
    ),
    (
        "an order's state is not its saga's: paid is CREATED, its saga SUCCEEDED",
        ORDER,
        "update orders set state = 'CREATED' where order_no = 'paid'",
    ),
    (
        "an order is being cancelled and no saga is left that would finish it: refunded",
        ORDER,
        "update orders set state = 'CANCELLING' where order_no = 'refunded'",
    ),
    (
        "an order's money is not where its state says: paid is PAID",
        PAYMENT,
        "update payment set order_no = 'other' where payment_no = 'P-1'",
    ),
    (
        "an order's points are not where its state says: paid is PAID",
        ORDER,
        "update orders set points = 11 where order_no = 'paid'",
    ),
    (
        "an order's stock is not where its state says: paid is PAID, its stock RELEASED",
        STOCK,
        "update reservation set state = 'RELEASED' where order_no = 'paid'",
    ),
];
